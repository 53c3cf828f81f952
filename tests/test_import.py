"""The import budget: names load lazily, heavy libraries never come with the package."""

import subprocess
import sys

HEAVY = {"torch", "transformers", "matplotlib", "lmfit", "pandas", "scipy", "typer", "pydantic"}


def test_import_is_light():
    code = f"import sys, scalefit; print(*sorted({HEAVY!r} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert out.stdout.split() == []


def test_building_the_command_line_is_light():
    """Help, and every command before its work, took as long as a fit while one module of it loaded pandas."""
    code = f"import sys\nfrom scalefit.cli import build_app\nbuild_app()\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert out.stdout.split() == ["typer"]


def test_every_public_name_loads():
    import scalefit

    for name in scalefit.__all__:
        assert getattr(scalefit, name) is not None
    assert set(scalefit.__all__) <= set(dir(scalefit))

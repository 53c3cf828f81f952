"""Build the sdist and the wheel, install the wheel in a clean environment, and use it there as a stranger would.

Run by ``make test-package``; needs the package index for the dependencies.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        run([sys.executable, "-m", "hatchling", "build", "-d", str(where / "dist")], cwd=ROOT)
        (wheel,), (sdist,) = where.glob("dist/*.whl"), where.glob("dist/*.tar.gz")
        inside = zipfile.ZipFile(wheel).namelist()
        assert any(name.startswith("scalefit/_data/") and name.endswith("runs.csv") for name in inside), inside
        assert "scalefit/py.typed" in inside and not any("tests/" in name for name in inside)
        tops = {name.split("/")[0] for name in inside}
        assert len(tops) == 2 and "scalefit" in tops, tops  # the package and its metadata, nothing beside them
        names = tarfile.open(sdist).getnames()
        assert any(name.endswith("data/reported_losses/runs.csv") for name in names), names[:20]
        stray = [
            name for name in (*inside, *names) if "__pycache__" in name or name.endswith((".pyc", ".orig", ".rej"))
        ]
        assert not stray, stray
        needed = ("Makefile", "mkdocs.yml", "constraints.txt", "constraints-oldest.txt", "CITATION.cff", "LICENSE")
        held = {name.partition("/")[2] for name in names}
        assert set(needed) <= held, set(needed) - held  # its tests and documentation can be made from the sdist alone
        venv.create(where / "env", with_pip=True)
        python = where / "env" / "bin" / "python"
        run([python, "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), str(wheel)])
        use(python.parent / "scalefit", where)
    print("3 passed, 0 failed")


def use(scalefit: Path, where: Path) -> None:
    """Exercise the installed command line away from the source tree."""
    assert run([scalefit, "--version"], cwd=where).startswith("scalefit ")
    assert "reported_losses" in run([scalefit, "datasets"], cwd=where)
    rows = "N,D,loss\n"
    for n in (1e8, 3e8, 1e9, 3e9):
        for d in (2e9, 6e9, 2e10):
            rows += f"{n},{d},{1.8 + 480 * n**-0.35 + 2000 * d**-0.36}\n"
    (where / "runs.csv").write_text(rows)
    fitted = json.loads(run([scalefit, "fit", "runs.csv", "--law", "chinchilla", "--json"], cwd=where))
    assert abs(fitted["params"]["alpha"] - 0.35) < 1e-6, fitted["params"]


def run(command: list[object], cwd: Path | None = None) -> str:
    """Run a command and return what it printed; its errors end the check."""
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=clean, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()

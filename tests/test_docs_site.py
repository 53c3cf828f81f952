"""The generated pages: every public name is documented, every law has its page."""

import importlib.util
from pathlib import Path

import pytest

import scalefit as sf

GENERATE = Path(__file__).parents[1] / "docs" / "_generate.py"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("docs_generate", GENERATE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_is_on_the_api_page(generate):
    page = generate.api_page()
    for name, target in generate.public_targets().items():
        assert f"::: {target}\n" in page, name


def test_every_public_name_has_a_docstring():
    for name in sf.__all__:
        if not name.startswith("_"):
            assert (getattr(sf, name).__doc__ or "").strip(), name


def test_every_law_has_its_page(generate, tmp_path):
    pytest.importorskip("latex2mathml", reason="the docs extra is not installed")
    generate.write_laws(tmp_path / "laws")
    for name in sf.laws.names():
        text = (tmp_path / "laws" / f"{name}.md").read_text()
        assert "<math" in text and (tmp_path / "laws" / f"{name}.svg").exists()
        for constants in sf.laws.get(name).published:
            assert constants.source in text

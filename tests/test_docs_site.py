"""The generated pages: every public name is documented, every law has its page."""

import importlib.util
from pathlib import Path

import pytest
import typer

import scalefit as sf

GENERATE = Path(__file__).parents[1] / "docs" / "_generate.py"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("docs_generate", GENERATE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_is_on_exactly_one_page(generate, tmp_path):
    generate.write_api(tmp_path)
    pages = {page.stem: page.read_text() for page in (tmp_path / "api").glob("*.md")}
    assert set(pages) == {file for file, *_ in generate.CHAPTERS}
    index = (tmp_path / "api.md").read_text()
    targets = generate.public_targets()
    assert {"fit", "memory.nearest", "laws.get", "counting.nats_per_token", "training.train"} <= set(targets)
    for name, target in targets.items():
        holding = [file for file, page in pages.items() for line in page.splitlines() if line == f"::: {target}"]
        assert len(holding) == 1, f"{name} is documented on {holding}"
        row = next(line for line in index.splitlines() if f'<a id="{target}"></a>' in line)  # where old links lead
        assert f"(api/{holding[0]}.md#{target})" in row and len(row.split(" | ")[1]) > 10, row


def test_pages_begin_with_what_people_call(generate):
    fit = [path.split(".")[-1] for path in generate.chapters()["fit"]]
    assert fit[:4] == ["fit", "load_result", "summary_table", "FitResult"] and fit[-1] in ("Certificate", "Prior")
    assert generate.chapters()["memory"][0] == "scalefit.memory"
    assert "[`sf.counting.count_parameters`]" in generate.api_index()


def test_roles_of_docstrings_are_not_shown(generate):
    html = "as :func:<code>scalefit.read_runs</code> reads, a ratio 3:4, <code>:func:</code>"
    assert (
        generate.on_page_content(html) == "as <code>scalefit.read_runs</code> reads, a ratio 3:4, <code>:func:</code>"
    )


def test_formulas_of_docstrings_are_drawn(generate):
    pytest.importorskip("latex2mathml", reason="the docs extra is not installed")
    shown = generate.on_page_content("at :math:<code>(a,\\rho) &lt; 1</code> it")
    assert "<math" in shown and "&#x0003C;" in shown and ":math:" not in shown


def test_a_public_name_of_no_chapter_is_an_error(generate, monkeypatch):
    monkeypatch.setattr(generate, "CHAPTERS", generate.CHAPTERS[1:])
    with pytest.raises(LookupError, match="scalefit.tables.runs"):
        generate.chapters()


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


def test_law_pages_read_well(generate):
    pytest.importorskip("latex2mathml", reason="the docs extra is not installed")
    pages = [generate.law_page(sf.laws.get(name)) for name in sf.laws.names()]
    assert not [page.split("\n")[0] for page in pages if "\\" in page], "no page shows LaTeX"
    for page in pages:
        assert ":class:" not in page and "\n. " not in page
        assert page.count("## References") == page.count("\n\n## References")  # a heading, not a row of the table above
        assert page.count("```bibtex") == page.count("\n  title = {")
    assert sum("## References" in page for page in pages) > 40 and sum("bibtex" in page for page in pages) > 40


def test_every_page_is_in_the_navigation(generate):
    """Pages beside the navigation are found by nobody; laws are put in by the hook."""
    yaml = pytest.importorskip("yaml", reason="the docs extra is not installed")
    text = (GENERATE.parents[1] / "mkdocs.yml").read_text()
    listed = {"nav": yaml.safe_load(text.split("\nnav:")[1].join(["nav:", ""]).split("\nexclude_docs")[0])["nav"]}
    generate.on_config(listed)
    pages = set(_leaves(listed["nav"]))
    assert {page.name for page in GENERATE.parent.glob("*.md")} | {"api.md"} <= pages
    assert {f"api/{file}.md" for file, *_ in generate.CHAPTERS} <= pages
    assert {f"laws/{name}.md" for name in sf.laws.names()} <= pages


def _leaves(entry):
    if isinstance(entry, str):
        yield entry
    else:
        for item in entry.values() if isinstance(entry, dict) else entry:
            yield from _leaves(item)


def test_the_page_of_the_command_line_has_every_command_and_option():
    from scalefit.cli import build_app

    spec = importlib.util.spec_from_file_location("docs_cli", GENERATE.with_name("_cli.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = module.cli_page()
    for name, command in typer.main.get_command(build_app()).commands.items():
        section = page.split(f"## scalefit {name}\n")[1].split("\n## ")[0]
        options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
        missing = [p.opts[-1] for p in options if p.opts[-1] not in section]
        assert set(missing) <= {"--help"}, f"{name}: {missing}"

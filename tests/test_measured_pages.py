"""Pages that show measurements show those of the files in benchmarks/results."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_pages_show_what_was_measured():
    words = [sys.executable, ROOT / "benchmarks" / "measured_pages.py", "--check"]
    done = subprocess.run(
        words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_the_validation_page_shows_its_numbers():
    """That page is written whole by benchmarks/validation.py, but for what stands between markers."""
    spec = importlib.util.spec_from_file_location("validation", ROOT / "benchmarks" / "validation.py")
    validation = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(validation)
    results = json.loads((ROOT / "benchmarks" / "results" / "validation.json").read_text())
    page = (ROOT / "docs" / "validation.md").read_text()
    own = re.sub(r"(<!-- measured: \w+ -->\n).*?(<!-- end -->)", r"\1\2", page, flags=re.DOTALL)
    assert own == validation.page_of(results)
    assert results["sources"] == sorted(
        str(path.relative_to(ROOT)) for path in (ROOT / "data").glob("scalefit_*/runs.csv")
    )


def test_a_page_that_shows_another_number_is_caught(tmp_path):
    """The check compares whole pages: one digit of a generated table is enough."""
    for name in ("benchmarks", "scalefit", "data"):
        (tmp_path / name).symlink_to(ROOT / name)
    copy = tmp_path / "benchmarks"
    copy.unlink()
    copy.mkdir()
    for path in (ROOT / "benchmarks").iterdir():
        (copy / path.name).symlink_to(path) if path.name != "measured_pages.py" else None
    (copy / "measured_pages.py").write_text((ROOT / "benchmarks" / "measured_pages.py").read_text())
    (tmp_path / "docs").mkdir()
    for path in (ROOT / "docs").glob("*.md"):
        (tmp_path / "docs" / path.name).write_text(path.read_text())
    (tmp_path / "README.md").write_text((ROOT / "README.md").read_text())
    words = [sys.executable, copy / "measured_pages.py", "--check"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(words, capture_output=True, env=environment, timeout=300).returncode == 0
    for page, old, new in (("docs/forecast.md", "0.041", "0.040"), ("docs/theory.md", "24 to 62 %", "24 to 61 %")):
        text = (tmp_path / page).read_text()
        assert old in text
        (tmp_path / page).write_text(text.replace(old, new))
        done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300)
        assert done.returncode == 1 and page in done.stderr
        (tmp_path / page).write_text(text)

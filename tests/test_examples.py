"""Every example runs as a stranger would run it, and stays short enough to read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NEEDS_TORCH = ("torch", "transformers", "scalefit.training")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path, tmp_path):
    if path.stem == "demo":
        pytest.skip("run, and its output read, by test_demo.py")
    text = path.read_text()
    if any(f"import {name}" in text or f"from {name}" in text for name in NEEDS_TORCH):
        pytest.skip("needs torch: run by tests/training/test_torch_examples.py")
    if "chinchilla_epoch" in text and not os.environ.get("SCALEFIT_DATA_DIR"):
        pytest.skip("needs a third-party table: set SCALEFIT_DATA_DIR")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    command = [sys.executable, "-W", "error::DeprecationWarning", str(path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short_and_says_what_it_is(path):
    lines = path.read_text().splitlines()
    assert lines[0].startswith('"""') and len(lines) < 60

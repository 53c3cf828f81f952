"""Pages that show measurements show those of the files in benchmarks/results."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_pages_show_what_was_measured():
    words = [sys.executable, ROOT / "benchmarks" / "measured_pages.py", "--check"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

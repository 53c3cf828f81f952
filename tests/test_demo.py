"""The demo of ``make demo`` runs without a warning and leaves what it promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import scalefit as sf

ROOT = Path(__file__).parent.parent


def test_the_demo_fits_saves_draws_and_is_refused(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    environment.pop("SCALEFIT_DATA_DIR", None)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples/demo.py")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sf.load_forecast(tmp_path / "demo/cerebras.json").trusted
    for name in ("cerebras", "scalefit_cpu"):
        assert (tmp_path / f"demo/{name}.png").read_bytes().startswith(b"\x89PNG")
    for reason in ("at least 7 are needed", "20 tokens per parameter", "Plan: lowest loss"):
        assert reason in " ".join(done.stdout.split())
    lines = done.stdout.splitlines()
    assert len(lines) < 40 and max(map(len, lines)) <= 100
    held = [list(map(float, line.split())) for line in lines if re.fullmatch(r"[\d. ]+", line)]
    assert len(held) == 2 and all(lower < measured < upper for _, lower, upper, measured in held)

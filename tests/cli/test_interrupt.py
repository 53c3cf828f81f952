"""Ctrl-C: long work stops at once, says so in a line, exits 130 and leaves no part of a file."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
#: CPU seconds to work before the interrupt: enough to be in the midst of it, a small part of what it takes in all.
WORK = 2.5


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    rng = np.random.default_rng(0)
    N = 10 ** rng.uniform(7, 10, 20_000)
    D = N * 20 * 10 ** rng.uniform(-0.8, 0.8, N.size)
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D) * np.exp(0.004 * rng.standard_normal(N.size))
    path = tmp_path_factory.mktemp("big") / "runs.csv"
    pd.DataFrame({"N": N, "D": D, "loss": loss}).to_csv(path, index=False)
    return path


def used(pid):
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def interrupted(start, words, folder):
    """Start a command, interrupt it in the midst of its work, and return how it ended and what it took to end."""
    process = start("-m", "scalefit", *words, stderr=subprocess.PIPE, cwd=folder, deadline=300)
    while process.poll() is None and used(process.pid) < WORK:
        time.sleep(0.05)
    assert process.poll() is None, f"ended by itself: {process.communicate()}"
    before = os.times()
    spent = used(process.pid)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    after = os.times()
    total = after.children_user + after.children_system - before.children_user - before.children_system
    return process.returncode, said, total - spent


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see how far a process is")
@pytest.mark.parametrize(
    "words",
    [
        ["fit", "--bootstrap", "20000", "--save", "out.json", "--force"],
        ["compare", "--laws", "chinchilla,broken_power_law:C,coupled,kaplan"],
        ["report", "--out", "out.html"],
    ],
    ids=["bootstrap", "compare", "report"],
)
def test_an_interrupt_ends_long_work_at_once(start, words, big, tmp_path):
    old = tmp_path / "out.json"
    if "--force" in words:
        old.write_text("kept")
    code, said, took = interrupted(start, [words[0], big, *words[1:]], tmp_path)
    assert code == 130 and said.strip().splitlines()[-1] == "scalefit: interrupted" and "Traceback" not in said
    assert took < WORK, "ending took longer than all the work until then"
    left = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert left == ({"out.json": "kept"} if "--force" in words else {})

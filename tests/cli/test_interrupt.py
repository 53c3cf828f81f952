"""Ctrl-C: long work stops at once, says so in a line, exits 130 and leaves no part of a file."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def of_children():
    """CPU seconds of the processes that this one has waited for."""
    times = os.times()
    return times.children_user + times.children_system


@pytest.fixture(scope="module")
def enough():
    """CPU seconds of work before the interrupt: twice those of the imports, a small part of what a command takes."""
    before = of_children()
    subprocess.run([sys.executable, "-c", "import pandas, scipy.optimize, scipy.stats, typer, rich"], timeout=300)
    return 2 * (of_children() - before)


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


def interrupted(start, words, folder, enough):
    """Start a command, interrupt it in the midst of its work, and say how it ended and what it took to get there."""
    process = start("-m", "scalefit", *words, stderr=subprocess.PIPE, cwd=folder)
    while process.poll() is None and used(process.pid) < enough:
        time.sleep(0.05)
    assert process.poll() is None, f"ended by itself: {process.communicate()}"
    before, spent = of_children(), used(process.pid)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    return process.returncode, said, spent, of_children() - before - spent


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
def test_an_interrupt_ends_long_work_at_once(start, words, big, tmp_path, enough):
    old = tmp_path / "out.json"
    if "--force" in words:
        old.write_text("kept")
    code, said, worked, took = interrupted(start, [words[0], big, *words[1:]], tmp_path, enough)
    assert code == 130 and said.strip().splitlines()[-1] == "scalefit: interrupted" and "Traceback" not in said
    assert took < worked, "ending took longer than all the work until then"
    left = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert left == ({"out.json": "kept"} if "--force" in words else {})


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see how far a process is")
def test_an_interrupt_is_heard_while_a_library_trains_a_tokenizer(start, tmp_path, enough):
    pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghijklmnop"), rng.integers(2, 12))) for _ in range(60_000)]
    (tmp_path / "text.txt").write_text("\n\n".join(" ".join(rng.choice(words, 500)) for _ in range(5_000)))
    command = ["exponent", "text.txt", "--max-tokens", "20M", "--tokenizer", "bpe:4096"]
    code, said, worked, took = interrupted(start, command, tmp_path, enough)
    assert code == 130 and said == "scalefit: interrupted\n"
    assert took < worked / 4, "the library's work went on"


def test_an_interrupt_that_compiled_code_swallows_still_ends_by_the_code(start):
    """Python ends by the signal itself, not by 130, once an interrupt came out of code that was compiled from text."""
    code = (
        "import scalefit.cli\n"
        "def run():\n"
        "    try: exec('raise KeyboardInterrupt')\n"
        "    except KeyboardInterrupt: raise SystemExit(130)\n"
        "scalefit.cli.main = run\n"
        "from scalefit.__main__ import main\n"
        "main()\n"
    )
    process = start("-c", code, stderr=subprocess.PIPE)
    process.communicate()
    assert process.returncode == 130


def test_an_interrupt_while_the_command_line_is_imported_is_told_in_a_line(start):
    code = (
        "import builtins\n"
        "real = builtins.__import__\n"
        "def interrupted(name, *rest):\n"
        "    if name == 'typer': raise KeyboardInterrupt\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = interrupted\n"
        "from scalefit.__main__ import main\n"
        "main()\n"
    )
    process = start("-c", code, stderr=subprocess.PIPE)
    assert process.communicate()[1] == "scalefit: interrupted\n" and process.returncode == 130

"""A plain loop that saves its monitor, killed with SIGKILL in the middle: what is on disk is whole, and goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import scalefit as sf

LOOP = """
import sys
from pathlib import Path
import scalefit as sf

path, end = Path(sys.argv[1]), int(sys.argv[2])
schedule = sf.Schedule.cosine(4000, warmup=100)
fresh = sf.Monitor(sf.RunPlan(schedule=schedule, optimizer="adamw"))
monitor = sf.load_monitor(path) if path.exists() else fresh
start = max(monitor.last_step, 0)
for step in range(int(start) + 10, end + 1, 10):
    monitor.update(step=step, val_loss=2.9 + 9 * step**-0.5 + 0.01 * (step % 7), train_loss=2.8 + 9 * step**-0.5,
                   lr=3e-4 * float(schedule.lr(step)))
    monitor.to_json(path)
    print(step, flush=True)
"""


def loop(path, end):
    environment = {**os.environ, "PYTHONPATH": str(Path(sf.__file__).parents[1])}
    command = [sys.executable, "-c", LOOP, str(path), str(end)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_killed_and_resumed_ends_with_the_same_advice(tmp_path):
    whole = loop(tmp_path / "whole.json", 1500)
    whole.communicate(timeout=60)
    killed = loop(tmp_path / "killed.json", 1500)
    for line in killed.stdout:
        if int(line) >= 600:
            break
    time.sleep(0.01)  # somewhere in an update, an advice or a write
    killed.send_signal(signal.SIGKILL)
    killed.stdout.close()
    assert killed.wait() == -signal.SIGKILL
    half = sf.load_monitor(tmp_path / "killed.json")  # whole, though the process was not
    assert 600 <= half.last_step < 1500
    assert loop(tmp_path / "killed.json", 1500).communicate(timeout=60)[0].splitlines()[-1] == "1500"
    first, second = (sf.load_monitor(tmp_path / f"{name}.json").advise() for name in ("whole", "killed"))
    assert first == second and first.final is not None

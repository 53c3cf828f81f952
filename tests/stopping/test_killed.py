"""A plain loop that saves its monitor, ended in the middle by a signal: what is on disk is whole, and goes on."""

import json
import signal

import scalefit as sf

LOOP = """
import json, signal, sys
from pathlib import Path
import scalefit as sf

path, kill_at = Path(sys.argv[1]), int(sys.argv[2])
schedule = sf.Schedule.cosine(4000, warmup=100)
fresh = sf.Monitor(sf.RunPlan(schedule=schedule, optimizer="adamw"))
monitor = sf.load_monitor(path) if path.exists() else fresh
start = max(monitor.last_step, 0)
for step in range(int(start) + 10, 1501, 10):
    if step == kill_at:  # after 10 ms: somewhere in an update, an advice or a write
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    monitor.update(step=step, val_loss=2.9 + 9 * step**-0.5 + 0.01 * (step % 7), train_loss=2.8 + 9 * step**-0.5,
                   lr=3e-4 * float(schedule.lr(step)))
    monitor.to_json(path)
print(json.dumps([start, step, monitor.advise().as_dict()]))
"""


def test_killed_and_resumed_ends_with_the_same_advice(start, tmp_path):
    def loop(name, kill_at=-1):
        process = start("-c", LOOP, tmp_path / f"{name}.json", kill_at)
        said = process.communicate()[0]
        return process.returncode, said

    code, said = loop("whole")
    begun, ended, whole = json.loads(said)
    assert (code, begun, ended) == (0, 0, 1500) and whole["final"] is not None
    assert loop("killed", kill_at=600) == (-signal.SIGALRM, "")
    half = sf.load_monitor(tmp_path / "killed.json")  # whole, though the process was not
    assert 590 <= half.last_step < 1500
    code, said = loop("killed")
    assert code == 0 and json.loads(said) == [half.last_step, 1500, whole]
    again = sf.load_monitor(tmp_path / "killed.json").advise()
    assert json.loads(json.dumps(again.as_dict())) == whole

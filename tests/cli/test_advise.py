"""``scalefit advise``: once, as JSON, and while the log grows."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.stopping.curve_laws import SaturatingCurve

PLAN = """n_params = 124e6
tokens_per_step = 524288
[schedule]
kind = "cosine"
total = 10000
warmup = 200
final = 0.1
"""
SCHEDULE = sf.Schedule.cosine(10_000, warmup=200)
STEPS = np.arange(100, 10_001, 100.0)
LOSS = SaturatingCurve.loss(SCHEDULE, STEPS, L0=2.9, A=9.0, alpha=0.45, C=0.24, rho=1.5)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    table = pd.DataFrame({"step": STEPS, "val_loss": LOSS})
    table[STEPS <= 5000].to_csv(tmp_path / "run.csv", index=False)
    for k in range(3):
        table.assign(val_loss=LOSS + 0.01 * k).to_csv(tmp_path / f"old{k}.csv", index=False)
    return tmp_path


def call(folder, *words):
    command = [sys.executable, "-m", "scalefit", "advise", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env=environment())


def environment():
    import os
    from pathlib import Path

    return {**os.environ, "PYTHONPATH": str(Path(sf.__file__).parents[1]), "MPLBACKEND": "Agg", "COLUMNS": "100"}


def test_json_is_one_document_with_the_public_names(folder):
    done = call(folder, "run.csv", "--plan", "plan.toml", "--json", "--level", "0.8")
    record = json.loads(done.stdout)
    assert done.returncode == 0 and record["action"] == "continue" and record["state"] == "healthy"
    assert set(record["final"]) >= {"loss", "lower", "upper", "level", "method"} and record["final"]["level"] == 0.8
    assert record["final"]["lower"] < LOSS[-1] < record["final"]["upper"]
    assert record["gain"]["per_1e18_flop"] > 0


def test_a_person_reads_verdict_first_and_history_counts(folder):
    words = [w for k in range(3) for w in ("--history", f"old{k}.csv" + ("=plan.toml" if k else ""))]
    done = call(folder, "run.csv", "--plan", "plan.toml", "--plot", "picture.png", *words)
    assert done.stdout.startswith("CONTINUE  (healthy, step 5000") and "corrected by 3 earlier runs" in done.stdout
    assert (folder / "picture.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing.csv", "--plan", "plan.toml"), "There is no file 'nothing.csv'"),
        (("run.csv", "--plan", "nothing.toml"), "[schedule]"),
        (("run.csv", "--plan", "run.csv"), "cannot be read"),
        (("run.csv", "--plan", "empty.toml"), "has no [schedule]"),
        (("run.csv", "--plan", "bad.toml"), "colour: is not a known setting"),
        (("run.csv", "--plan", "plan.toml", "--history", "done.json=plan.toml"), "holds its own plan"),
        (("run.csv", "--plan", "plan.toml", "--history", "trainer.json"), "holds no loss"),
        (("run.csv", "--plan", "plan.toml", "--json", "--watch"), "one of the two"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_1(folder, words, said):
    (folder / "empty.toml").write_text("n_params = 1e6\n")
    (folder / "bad.toml").write_text(PLAN + 'colour = "red"\n')
    finished_run(0).to_json(folder / "done.json")
    (folder / "trainer.json").write_text('{"log_history": [{"step": 1, "lr": 0.1}]}')
    done = call(folder, *words)
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr


def finished_run(k):
    monitor = sf.Monitor(sf.RunPlan(schedule=SCHEDULE, n_params=124e6, tokens_per_step=524288))
    for step, value in zip(STEPS, LOSS + 0.01 * k, strict=True):
        monitor.update(step=step, val_loss=value)
    return monitor


def test_saved_monitors_serve_as_history_as_their_logs_do(folder):
    """The same three runs, once as logs and once as Monitor.to_json wrote them."""
    for k in range(3):
        finished_run(k).to_json(folder / f"done{k}.json")
    said = []
    for suffix in ("old{}.csv", "done{}.json"):
        words = [word for k in range(3) for word in ("--history", suffix.format(k))]
        said.append(json.loads(call(folder, "run.csv", "--plan", "plan.toml", "--json", *words).stdout)["final"])
    numbers = [{key: value for key, value in final.items() if isinstance(value, float)} for final in said]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-9) and {"loss", "lower", "upper"} <= set(numbers[0])
    assert said[0].keys() == said[1].keys() and said[0]["n_history"] == said[1]["n_history"] == 3


@pytest.mark.parametrize(
    "words",
    [("--plan",), ("--plan", "plan.toml", "--level", "95"), ("--plan", "plan.toml", "--watch", "--interval", "nan")],
    ids=("no file", "level", "interval"),
)
def test_usage_errors_exit_with_2(folder, words):
    assert call(folder, "run.csv", *words).returncode == 2


def test_watch_follows_a_growing_file(folder):
    first = call(folder, "run.csv", "--plan", "plan.toml", "--watch", "--interval", "0.01", "--refreshes", "2")
    assert first.returncode == 0 and "continue · healthy" in first.stdout
    assert "*" in first.stdout and "-" in first.stdout and ":" in first.stdout and "step 10000" in first.stdout
    early = call(folder, "later.csv", "--plan", "plan.toml", "--watch", "--interval", "0.01", "--refreshes", "2")
    assert early.returncode == 0 and "waiting" in early.stdout
    whole = call(folder, "old0.csv", "--plan", "plan.toml", "--watch", "--interval", "60")  # ends by itself
    assert whole.returncode == 0 and "finished" in whole.stdout


def test_the_chart_puts_things_where_they_belong():
    from scalefit.cli._live_view import chart

    monitor = sf.Monitor(sf.RunPlan(schedule=SCHEDULE))
    for step, value in zip(STEPS[:50], LOSS[:50], strict=True):
        monitor.update(step=step, val_loss=value)
    lines = chart(monitor.figure(), 10_000, 60, 12)
    assert len(lines) == 14 and all(len(line) <= 69 for line in lines)
    plot = [line[9:] for line in lines[:12]]
    assert not any(":" in line[:29] for line in plot), "no band in the past"
    assert not any("*" in line[31:] for line in plot), "no data in the future"
    forecast = [y for y, line in enumerate(plot) if line.rstrip().endswith("-")]
    assert forecast and forecast[0] > 5, "the forecast ends low"


def test_watch_shows_a_run_in_its_warmup(folder):
    """Nothing has settled yet and nothing can be forecast: the losses so far are drawn."""
    early = pd.DataFrame({"step": np.arange(10, 200, 20), "val_loss": np.linspace(9, 7, 10)})
    early.to_csv(folder / "early.csv", index=False)
    done = call(folder, "early.csv", "--plan", "plan.toml", "--watch", "--interval", "0.01", "--refreshes", "1")
    assert done.returncode == 0 and "too_early" in done.stdout and "*" in done.stdout and "9.000 |" in done.stdout


@pytest.mark.parametrize("words", [("--total-steps", "900"), ("--plan", "plan.toml")])
def test_a_length_in_steps_for_a_log_of_epochs_is_refused_and_not_waited_for(folder, words):
    line = "Epoch {}/20\n100/100 [====] - 2s 20ms/step - loss: {:.4f} - accuracy: 0.5 - val_loss: {:.4f}\n"
    (folder / "keras.log").write_text("".join(line.format(k, 3 + 1 / k, 3.1 + 1 / k) for k in range(1, 11)))
    for watch in ((), ("--watch", "--interval", "0", "--refreshes", "2")):
        done = call(folder, "keras.log", *words, *watch)
        assert done.returncode == 1 and "counts epochs" in done.stderr and "waiting" not in done.stdout


def test_paths_with_an_equals_sign_are_paths(folder):
    (folder / "runs/lr=0.1").mkdir(parents=True)
    for name in ("old0.csv", "plan.toml"):
        (folder / name).rename(folder / "runs/lr=0.1" / name)
    log, plan = "runs/lr=0.1/old0.csv", "runs/lr=0.1/plan.toml"
    words = ["--history", log, "--history", f"{log}={plan}", "--history", f"old1.csv={plan}"]
    done = call(folder, "run.csv", "--plan", plan, *words)
    assert done.returncode == 0 and "corrected by 3 earlier runs" in done.stdout, done.stderr
    done = call(folder, "run.csv", "--plan", plan, "--history", "none.csv=other.toml")
    assert done.returncode == 1 and "There is no file 'none.csv'" in done.stderr

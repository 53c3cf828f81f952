"""The commands: what they print, their JSON, their exit codes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from scalefit.cli import main
from scalefit.training import bench as bench_module
from scalefit.training import loop
from scalefit.training.bench import bench
from scalefit.training.config import RunConfig


def call(capsys, *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.fixture
def sweep_file(tmp_path: Path) -> Path:
    path = tmp_path / "toy.toml"
    path.write_text(
        'name = "toy"\ntokens = [4000, 8000]\n'
        '[corpora.markov]\nsource = "markov"\nn_states = 32\nbranching = 4\nn_tokens = 60000\n'
        "[lr]\ngrid = [3e-3, 1e-2]\ntokens = 4000\nextend = 0\n[optimizer]\nbatch_size = 8\n"
        "[evaluation]\ntokens = 1000\ncurve_points = 3\n"
        "[[sizes]]\nn_layers = 1\nd_emb = 8\nn_heads = 1\nT_max = 32\n"
    )
    return path


def test_train_prints_and_gives_json(tiny: RunConfig, store: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(tiny.to_dict()))
    code, out, _ = call(capsys, "train", path, "--store", store)
    assert code == 0 and "finished" in out and "H_data" in out
    code, out, _ = call(capsys, "train", path, "--store", store, "--json")
    assert code == 0 and json.loads(out)["status"] == "finished" and len(json.loads(out)["rows"]) == 2


def test_sweep_from_plan_to_table(sweep_file: Path, store: Path, capsys) -> None:
    code, out, _ = call(capsys, "sweep", "plan", sweep_file, "--store", store, "--json")
    planned = json.loads(out)
    assert code == 0 and len(planned["runs"]) == 2 and planned["seconds"] > 0 and planned["disk_bytes"] > 0
    code, out, _ = call(capsys, "sweep", "run", sweep_file, "--store", store, "--json")
    assert code == 0 and [row["status"] for row in json.loads(out)["runs"]] == ["finished", "finished"]
    code, out, _ = call(capsys, "sweep", "work", store)
    assert code == 0 and out.startswith("0 runs")
    code, out, _ = call(capsys, "sweep", "status", store, "--json")
    assert json.loads(out) == {"name": "toy", "finished": 2, "running": 0, "waiting": 0}
    code, out, _ = call(capsys, "sweep", "collect", store, "--out", store / "table")
    assert code == 0 and (store / "table" / "runs.csv").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_says_how_far_it_is(sweep_file: Path, store: Path, monkeypatch, workers: int) -> None:
    from scalefit.training import SweepConfig, load_config, sweep
    from scalefit.training.sweeps import launchers

    monkeypatch.setattr(launchers, "_LOOK", 0.05)
    if workers == 1:
        monkeypatch.setattr(loop.time, "monotonic", itertools.count(step=2).__next__)  # seconds: a report every step
    told: list[tuple[int, int]] = []
    sweep(load_config(sweep_file, SweepConfig), store, workers, progress=lambda *now: told.append(now))
    assert told == sorted(told) and all(done <= total and total % 1000 == 0 for done, total in told)
    assert told[0][0] == 0 and told[-1] == (2000, 2000) and len(told) > 2  # a probe and a run, looked at meanwhile
    within = {done // 1000 for done, _ in told if done % 1000}
    assert within == ({0, 1} if workers == 1 else set())  # of runs in other processes only whole ones are known


def test_a_sweep_whose_workers_end_unseen_is_told_to_its_end(sweep_file: Path, store: Path, monkeypatch) -> None:
    from scalefit.training import SweepConfig, load_config, sweep
    from scalefit.training.sweeps import launchers

    monkeypatch.setattr(launchers, "_local_processes", lambda store, name, *_: launchers.work(store, name))
    told: list[tuple[int, int]] = []
    sweep(load_config(sweep_file, SweepConfig), store, 2, progress=lambda *now: told.append(now))
    assert told == [(0, 1000), (2000, 2000)]


def test_bad_input_is_one_line(tmp_path: Path, store: Path, capsys) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[model]\nn_layer = 3\n")
    code, _, err = call(capsys, "train", path, "--store", store)
    assert code == 1 and "n_layers" in err and len(err.strip().splitlines()) == 1
    code, _, err = call(capsys, "sweep", "status", store)
    assert code == 1 and len(err.strip().splitlines()) == 1
    code, _, err = call(capsys, "experiment", "figure9")
    assert code == 1 and "figure4" in err


def test_experiment_gives_json(store: Path, capsys) -> None:
    code, out, _ = call(
        capsys, "experiment", "figure4", "--size", "tiny", "--out", store / "out", "--store", store, "--json"
    )
    assert code == 0 and len(json.loads(out)["rows"]) == 2


@pytest.mark.filterwarnings("ignore")
def test_bench_measures_both_models(capsys) -> None:
    code, out, _ = call(capsys, "bench", "--size", "12k", "--seconds", "0.2", "--device", "cpu", "--json")
    rows = {row["mode"]: row for row in json.loads(out)["rows"]}
    assert code == 0 and set(rows) == {"transformers", "eager"}
    assert rows["eager"]["tokens_per_second"] > 0 and rows["eager"]["ratio"] > 0


def test_bench_names_its_sizes() -> None:
    from scalefit.errors import ScalefitError

    with pytest.raises(ScalefitError, match="12k"):
        bench(("13k",), device="cpu")
    assert set(bench_module.CPU_SIZES) <= set(bench_module.SIZES)


def test_the_worker_does_not_need_the_command_line(sweep_file: Path, store: Path) -> None:
    import subprocess
    import sys

    from scalefit.training.config_files import load_config
    from scalefit.training.sweeps.grid import Sweep, SweepConfig

    Sweep(load_config(sweep_file, SweepConfig), store)
    code = (
        "import sys\nfor name in ('typer', 'pandas', 'transformers'): sys.modules[name] "
        "= None\nimport torch; torch.set_num_threads(1)\n"
        "from scalefit.training.sweeps.worker import work\nprint(work(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "2"


def test_progress_bar_takes_the_reports_of_a_run(with_, store: Path) -> None:
    import io

    from rich.console import Console

    from scalefit.training.loop import train
    from scalefit.training.progress import TrainingProgress

    config = with_(evaluation={"curve_points": 40}, schedule={"tokens": (60_000,)}, series="demo")
    text = io.StringIO()
    with TrainingProgress(config, Console(file=text, force_terminal=True, width=160)) as progress:
        train(config, store, progress)
    shown = text.getvalue()
    assert "demo loss" in shown and "100%" in shown and "final" in shown


@pytest.mark.parametrize("kind", ["wsd", "cosine", "constant"])
@pytest.mark.parametrize("N", [10**6, 2_000])  # warm-up is min(N, a fifth of D)
def test_the_plan_of_a_run_has_its_learning_rates(with_, kind: str, N: int) -> None:
    from scalefit.training.progress import run_plan
    from scalefit.training.segments import make_path

    config = with_(schedule={"kind": kind, "tokens": (256_000,), "final": 0.1})
    path = make_path(config.schedule, 256.0, N)
    plan = run_plan(config, path.point_steps[-1], 256.0, path.warmup)
    for step in (10, 100, 500, 850, 990):
        segment = next(s for s in path.segments if s.begin <= step < s.end)
        assert float(plan.schedule.lr(step)) == pytest.approx(path.multiplier(segment, step), abs=0.02)

"""The store and the sweeps: nothing finished is lost or repeated, whatever happens to the files or the workers."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from scalefit.errors import ArgumentError, DataError
from scalefit.training import checkpoint
from scalefit.training import store as store_module
from scalefit.training.config import CorpusConfig, EvaluationConfig, ModelConfig, OptimizerConfig, RunConfig
from scalefit.training.config_files import load_config
from scalefit.training.data.corpus import open_corpus
from scalefit.training.loop import train
from scalefit.training.rows import MEASURED
from scalefit.training.store import RunFolder, StoreError, _boot_id, _is_zombie, is_dead
from scalefit.training.sweeps import worker
from scalefit.training.sweeps.collect import collect, methods
from scalefit.training.sweeps.grid import LearningRateConfig, SizeConfig, Sweep, SweepConfig
from scalefit.training.sweeps.launchers import run_workers
from scalefit.training.sweeps.run import sweep
from scalefit.training.trained import load_trained


@pytest.fixture
def mixed(tiny: RunConfig) -> SweepConfig:
    """Two sizes, of which the larger has two seeds and a cosine run; two D, and a probe of two rates each."""
    return SweepConfig(
        name="toy",
        corpora={"markov": tiny.corpus},
        sizes=(
            SizeConfig(model=ModelConfig(n_layers=1, d_emb=8, n_heads=1, T_max=32)),
            SizeConfig(model=ModelConfig(n_layers=1, d_emb=16, n_heads=1, T_max=32), seeds=(0, 1), cosine=(5_000,)),
        ),
        tokens=(4_000, 8_000),
        lr=LearningRateConfig(grid=(3e-3, 1e-2), tokens=4_000, extend=0),
        optimizer=OptimizerConfig(batch_size=8),
        evaluation=EvaluationConfig(tokens=1_000, curve_points=4),
    )


def test_sweep_probes_then_trains_and_collects(mixed: SweepConfig, store: Path) -> None:
    table = sweep(mixed, store)
    assert len(table) == 2 + 4 + 1 and (table["status"] == "finished").all()
    assert set(table["kind"]) == {"branch", "final"}
    folder = store / "tables" / "toy"
    assert {path.name for path in folder.iterdir()} == {"runs.csv", "lr_probes.csv", "curves.csv.gz", "METHODS.md"}
    probes = pd.read_csv(folder / "lr_probes.csv")
    for N, rows in table.groupby("N"):
        best = probes[probes["N"] == N].sort_values("loss").iloc[0]
        assert (rows["lr"] == best["lr"]).all()
        assert rows["lr_at_edge"].all()  # the best of two rates is always at the edge
    curves = pd.read_csv(folder / "curves.csv.gz")
    assert set(curves["trunk_id"]) == set(table["trunk_id"])
    text = (folder / "METHODS.md").read_text()
    assert "7 finished" in text and table["corpus_sha"][0] in text


def test_the_table_is_read_by_scalefit(mixed: SweepConfig, store: Path) -> None:
    import scalefit as sf

    sweep(mixed, store)
    runs = sf.read_runs(store / "tables" / "toy" / "runs.csv")
    assert len(runs) == 7 and {"N", "D", "C", "loss"} <= set(runs.columns)


def test_finished_runs_are_not_run_again(mixed: SweepConfig, store: Path, monkeypatch) -> None:
    first = sweep(mixed, store)
    monkeypatch.setattr(worker, "train", None)
    pd.testing.assert_frame_equal(sweep(mixed, store), first)


def test_probe_grid_grows_beyond_its_edge(mixed: SweepConfig, store: Path) -> None:
    lr = LearningRateConfig(grid=(1e-4, 3e-4), tokens=4_000, extend=1)
    table = sweep(replace(mixed, lr=lr, sizes=mixed.sizes[:1], name="grow"), store)
    assert table["lr"].iloc[0] == pytest.approx(2.7e-3)  # far below the optimum: two rates further up
    assert table["lr_at_edge"].all()


def test_a_rate_is_tuned_at_one_width_and_transferred(mixed: SweepConfig, store: Path) -> None:
    sizes = tuple(replace(size, model=replace(size.model, base_width=8), cosine=()) for size in mixed.sizes)
    config = replace(mixed, sizes=sizes, lr=replace(mixed.lr, transfer=True), name="transfer")
    table = sweep(config, store)
    probes = pd.read_csv(store / "tables" / "transfer" / "lr_probes.csv")
    assert probes["N"].nunique() == 1 and probes["N"].iloc[0] == table["N"].min()
    assert table["N"].nunique() == 2 and set(table["lr"]) == {probes.sort_values("loss")["lr"].iloc[0]}
    assert "the others take its rate" in (store / "tables" / "transfer" / "METHODS.md").read_text()
    for bad in (mixed.sizes, (sizes[0], mixed.sizes[1])):
        with pytest.raises(ArgumentError, match="do not share one base_width"):
            replace(config, sizes=bad)


@pytest.mark.parametrize("kind", ["ratios", "flops"])
def test_other_grids(mixed: SweepConfig, store: Path, kind: str) -> None:
    values = (5.0, 10.0) if kind == "ratios" else (6 * 1_000.0 * 5_000,)
    config = replace(mixed, tokens=(), sizes=mixed.sizes[:1], lr=LearningRateConfig(grid=(1e-2,)), **{kind: values})
    (job,) = Sweep(config, store).jobs()
    N = 8 * 32 * 2 + 12 * 64 + 13 * 8 + 16
    wanted = [ratio * N for ratio in values] if kind == "ratios" else [values[0] / 6 / N]
    assert list(job.config.schedule.tokens) == [round(D) for D in wanted]


def test_local_workers_share_a_sweep(mixed: SweepConfig, store: Path) -> None:
    table = sweep(mixed, store, workers=2)
    assert len(table) == 7 and (table["status"] == "finished").all()
    assert not list((store / "runs").glob("*/lease"))


def test_any_executor_launches(mixed: SweepConfig, store: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert len(sweep(mixed, store, launcher=pool)) == 7


def test_as_many_workers_as_asked_where_equal_calls_are_one(mixed: SweepConfig, store: Path) -> None:
    class Memory:  # as dask does: the key of a call is made of its function and arguments
        def __init__(self) -> None:
            self.calls: dict[tuple, object] = {}

        def submit(self, function, *arguments):
            return self.calls.setdefault((function, *arguments), pool.submit(function, *arguments))

    with ThreadPoolExecutor(1) as pool:
        launcher = Memory()
        assert len(sweep(mixed, store, workers=3, launcher=launcher)) == 7
    assert len(launcher.calls) == 3


def test_a_failing_run_does_not_stop_the_others(mixed: SweepConfig, store: Path, monkeypatch) -> None:
    original = worker.train

    def sometimes(config, *arguments):
        if config.model.d_emb == 8:
            raise ArgumentError("no")
        return original(config, *arguments)

    Sweep(mixed, store)
    monkeypatch.setattr(worker, "train", sometimes)
    with pytest.raises(StoreError, match="1 runs could not be trained"):
        run_workers(store, "toy")
    assert len(collect(Sweep.load(store))) == 5


#: A worker that has so many seconds of work left to live once it has finished a run.
MORTAL = """
import signal, sys
from scalefit.training.sweeps import worker
train = worker.train

def trained(*arguments):
    record = train(*arguments)
    signal.setitimer(signal.ITIMER_PROF, float(sys.argv[2]))  # of the processor: a busy machine takes none of them
    return record

worker.train = trained
worker.work(sys.argv[1])
"""


def test_three_kills_lose_nothing_and_repeat_nothing(mixed: SweepConfig, store: Path, store_at, start) -> None:
    slow = replace(mixed, tokens=(20_000, 100_000))
    n_jobs = 5  # two probes, a run of each size, and a cosine run
    Sweep(slow, store)
    stamps: dict[Path, int] = {}
    for kill, seconds in enumerate((0.001, 0.02, 0.05)):
        process = start("-c", MORTAL, store, seconds)
        assert process.wait() == -signal.SIGPROF  # which, unhandled, ends a process as SIGKILL does
        for path in (store / "runs").glob("*/result.json"):
            assert stamps.setdefault(path, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
        assert kill < len(stamps) < n_jobs
    table = sweep(slow, store)
    assert len(list((store / "runs").glob("*/result.json"))) == n_jobs
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    pd.testing.assert_frame_equal(
        table.drop(columns=list(MEASURED)),
        sweep(slow, store_at(store / "straight")).drop(columns=list(MEASURED)),
    )


def test_one_of_many_takes_a_lease(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: RunFolder(tmp_path / "run").acquire(), range(40)))
    assert sum(taken) == 1 and RunFolder(tmp_path / "run").held_by_other()
    RunFolder(tmp_path / "run").release()
    (tmp_path / "run" / "lease").write_text(json.dumps({"host": "elsewhere", "pid": 1, "boot": "b"}))
    assert not RunFolder(tmp_path / "run").acquire()


def test_a_dead_lease_passes_to_one_of_many(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    dead = {"host": os.uname().nodename, "pid": 2**22 - 1, "boot": store_module._boot_id()}
    (tmp_path / "run" / "lease").write_text(json.dumps(dead))
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: RunFolder(tmp_path / "run").acquire(), range(40)))
    assert sum(taken) == 1


def test_torn_last_line_is_left_out_and_a_torn_middle_is_an_error(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append_curve({"step": 1})
    folder.append_curve({"step": 2})
    with folder.curve_path.open("ab") as out:
        out.write(b'{"step": 3, "val')
    assert [record["step"] for record in folder.read_curve()] == [1, 2]
    folder.curve_path.write_bytes(b'{"step": 1\n{"step": 2}\n')
    with pytest.raises(StoreError, match="line 1"):
        folder.read_curve()


@pytest.mark.parametrize("content", ["", "{", '{"format": 99}', "[]", '{"format": 1, "rows": 3}'])
def test_damaged_result_is_one_clear_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(StoreError, match="Delete"):
        RunFolder(tmp_path).read_record()


def test_damaged_checkpoint_is_one_clear_error(tiny: RunConfig, store: Path) -> None:
    sha = open_corpus(tiny.corpus, store / "corpora").sha
    folder = RunFolder(store / "runs" / tiny.run_id(sha))
    folder.path.mkdir(parents=True)
    folder.checkpoint_path.write_bytes(b"not a checkpoint")
    with pytest.raises(StoreError, match="checkpoint"):
        train(tiny, store)
    assert folder.checkpoint_path.exists()


@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "not writable")])
def test_full_disk_is_one_clear_error_and_a_later_run_goes_on(with_, store: Path, begun, code, words) -> None:
    config = with_(runtime={"checkpoint_every": 0.0})
    original, calls = store_module.write_atomically, 0

    def full(path, content):
        nonlocal calls
        calls += 1
        if calls > 20:
            raise OSError(code, os.strerror(code))
        original(path, content)

    with pytest.MonkeyPatch.context() as patch:
        for module in (store_module, checkpoint):
            patch.setattr(module, "write_atomically", full)
        with pytest.raises(DataError, match=words):
            train(config, store)
    first = list(begun)
    begun.clear()
    assert train(config, store).status == "finished"
    assert begun[0] in first[-2:]  # from the last checkpoint that was written; at the end of a segment there is none


def test_foreign_corpus_is_refused(mixed: SweepConfig, store: Path) -> None:
    Sweep(mixed, store)
    path = store / "sweeps" / "toy.json"
    saved = json.loads(path.read_text())
    saved["corpora"]["markov"] = "0" * 16
    path.write_text(json.dumps(saved))
    with pytest.raises(StoreError, match="^The corpus of .* another sha256"):
        Sweep.load(store)


def test_sweeps_are_found_by_name(mixed: SweepConfig, store: Path) -> None:
    with pytest.raises(ArgumentError, match="none"):
        Sweep.load(store)
    Sweep(mixed, store)
    assert Sweep.load(store).config == mixed
    with pytest.raises(ArgumentError):
        Sweep.load(store, "other")


def test_config_files_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text('tokens = [1000]\n[corpora.a]\nsource = "markov"\n[[sizes]]\nd_emb = 16\n')
    config = load_config(path, SweepConfig)
    assert config.corpora["a"].source == "markov" and config.sizes[0].model.d_emb == 16
    for text, words in {
        "tokns = [1000]": "tokens",
        "tokens = [1000]\nseeds = ['x']": "seeds",
        "tokens = [1000]\nratios = [20]": "exactly one",
        "tokens = [1000]\n[corpora.a]\nsource = 'web'": "source",
        "tokens = [": "TOML",
    }.items():
        path.write_text(text)
        with pytest.raises(ArgumentError, match=words):
            load_config(path, SweepConfig)
    with pytest.raises(ArgumentError, match="nowhere"):
        load_config(tmp_path / "nowhere.toml", SweepConfig)
    (tmp_path / "run.yaml").write_text("model: {preset: gpt2-nano, n_layers: 3}\nseeds: [1]\n")
    run = load_config(tmp_path / "run.yaml", RunConfig)
    assert run.model.n_layers == 3 and run.model.d_emb == 32 and run.seeds == (1,)


def test_plan_from_a_table(tmp_path: Path) -> None:
    table = pd.DataFrame({"N": [20_000, 20_000, 200_000], "D": [4e5, 8e5, 4e6], "gain": 0.1})
    config = SweepConfig.from_table(table, CorpusConfig(source="markov"), seeds=(3,))
    assert len(config.sizes) == 2 and config.sizes[0].tokens == (400_000, 800_000) and config.seeds == (3,)
    with pytest.raises(ArgumentError, match="D"):
        SweepConfig.from_table(table[["N"]])


def test_weights_are_kept_on_request(with_, store: Path) -> None:
    config = with_(runtime={"keep_weights": True})
    record = train(config, store)
    trained = load_trained(config, store)
    loss, _ = trained.loss(tokens=config.evaluation.tokens)
    assert loss == pytest.approx(record.loss, abs=1e-6)
    assert trained.loss("train")[0] < 3.5
    with pytest.raises(StoreError, match="keep_weights"):
        load_trained(with_(seeds=(9,)), store)


def test_plan_train_and_fit_again_is_one_loop(store: Path, tiny: RunConfig) -> None:
    import numpy as np

    import scalefit as sf

    N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(3e3, 3e4, 5), np.geomspace(5e3, 5e4, 5)))
    noise = np.exp(0.003 * np.random.default_rng(0).normal(size=N.size))
    known = pd.DataFrame({"N": N, "D": D, "loss": (2.0 + 40 * N**-0.5 + 60 * D**-0.45) * noise})
    wanted = sf.next_runs(sf.fit(known, "chinchilla"), budget=2e10, C=1e10, n_runs=2)
    config = SweepConfig.from_table(
        wanted,
        tiny.corpus,
        name="next",
        lr=LearningRateConfig(grid=(1e-2,)),
        optimizer=OptimizerConfig(batch_size=8),
        evaluation=EvaluationConfig(tokens=1_000, curve_points=0),
    )
    table = sweep(config, store)
    assert len(table) == len(wanted)
    np.testing.assert_allclose(sorted(table["N"]), sorted(wanted["N"]), rtol=0.3)
    np.testing.assert_allclose(sorted(table["D"]), sorted(wanted["D"]), rtol=0.5)
    again = sf.fit(pd.concat([known, table[["N", "D", "loss"]]]), "chinchilla")
    assert again.n_runs == len(known) + len(table)


def test_a_rate_that_failed_bounds_the_best_one(mixed: SweepConfig, store: Path) -> None:
    """The best of three with a worse one below and one that diverged above lies inside, and nothing is tried again."""
    lr = LearningRateConfig(grid=(1e-4, 1e-2, 9.0), tokens=4_000, extend=1)
    table = sweep(replace(mixed, lr=lr, sizes=mixed.sizes[:1], name="failed"), store)
    probes = pd.read_csv(store / "tables" / "failed" / "lr_probes.csv").set_index("lr")
    assert list(probes.index) == [1e-4, 1e-2, 9.0] and probes.loc[9.0, "status"] != "finished"
    assert (table["lr"] == 1e-2).all() and not table["lr_at_edge"].any()


def test_a_lease_of_another_container_is_not_judged_by_its_process_id(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    foreign = {"host": store_module.socket.gethostname(), "pid": os.getpid(), "boot": f"{store_module._boot_id()}+"}
    (tmp_path / "lease").write_text(json.dumps(foreign))
    assert folder.held_by_other() and not folder.acquire()
    os.utime(tmp_path / "lease", (0, 0))
    assert folder.acquire()
    assert "pid:[" in json.loads((tmp_path / "lease").read_text())["boot"] or not os.path.exists("/proc/self/ns/pid")


def test_a_damaged_sweep_is_one_clear_error(mixed: SweepConfig, store: Path) -> None:
    Sweep(mixed, store)
    path = store / "sweeps" / "toy.json"
    path.write_text("{")
    for opens in (lambda: Sweep(mixed, store), lambda: Sweep.load(store)):
        with pytest.raises(StoreError, match=r"toy.json cannot be read .* Delete it"):
            opens()


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"kind": "wsd", "warmup": 0}, "warm-up 0 tokens; cooldown 20% of each D, shape 1-sqrt, to 0 of the peak"),
        ({"kind": "constant"}, "warm-up min(N, a fifth of the smallest D) tokens; no decay"),
        ({"kind": "cosine", "final": 0.1, "warmup": 1024}, "warm-up 1,024 tokens; down to 0.1 of the peak"),
    ],
)
def test_methods_say_the_schedule(mixed: SweepConfig, store: Path, schedule, words) -> None:
    config = replace(mixed, tokens=(4_000,), schedule=replace(mixed.schedule, **schedule))
    assert words in methods(Sweep(config, store), pd.DataFrame(), [])


@pytest.mark.parametrize("words", [[], ["a", "b", "c"]])
def test_a_worker_says_how_it_is_called(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scalefit.training.sweeps.worker", *words], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 1 and done.stderr == "usage: python -m scalefit.training.sweeps.worker STORE [NAME]\n"


@pytest.mark.filterwarnings("ignore")
def test_a_sweep_of_a_transformers_model_has_its_own_sizes(mixed: SweepConfig, store: Path, tmp_path: Path) -> None:
    from transformers import GPT2Config

    GPT2Config(
        n_layer=1, n_embd=32, n_head=4, n_positions=64, vocab_size=99, bos_token_id=0, eos_token_id=0
    ).save_pretrained(tmp_path / "own")
    model = ModelConfig(family="huggingface", path=str(tmp_path / "own"), T_max=32)
    config = replace(
        mixed,
        sizes=(SizeConfig(model=model),),
        lr=LearningRateConfig(grid=(1e-2,)),
        tokens=(),
        ratios=(0.5,),
        name="own",
    )
    (row,) = sweep(config, store).to_dict("records")
    blocks = 12 * 32 * 32 + 13 * 32 + 2 * 32  # as wide as the vocabulary: no matrix of the blocks is an embedding
    assert row["N_non_embedding"] == blocks and row["N"] == blocks + (32 + 64) * 32
    assert row["N_matmul"] == blocks + 32 * 32 and row["D"] == pytest.approx(row["N"] / 2, rel=0.05)
    assert [row[name] for name in ("n_layers", "d_emb", "n_heads", "d_ff", "vocab_size", "tied")] == [
        1,
        32,
        4,
        128,
        32,
        True,
    ]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not say whether a process has ended")
def test_a_killed_worker_that_nobody_waited_for_is_dead(start) -> None:
    """It keeps its process id until its parent asks, so the id alone says that it lives."""
    worker = start("-c", "pass")
    lease = {"host": socket.gethostname(), "boot": _boot_id(), "pid": worker.pid}
    deadline = time.monotonic() + 60
    while not _is_zombie(worker.pid):
        assert time.monotonic() < deadline, "a process that has ended is not seen to have"
        time.sleep(0.01)
    assert is_dead(lease, 0.0, held=False)
    assert worker.wait() == 0 and is_dead(lease, 0.0, held=False)
    assert not is_dead(lease | {"pid": os.getppid()}, 0.0, held=False)

"""The second CPU ladder runs at toy size, goes on where it was, and spans what a ladder must."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.training.models.counts import count_parameters
from scalefit.training.sweeps.grid import sweep_digest

PATH = Path(__file__).parents[2] / "benchmarks" / "modern_ladder" / "run.py"
spec = importlib.util.spec_from_file_location("modern_ladder", PATH)
ladder = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ladder)


DATA = Path(__file__).parents[2] / "data" / "scalefit_modern"
BOOKS = "books.tar.xz"  # at toy size no corpus is read


def test_the_ladder_runs_and_is_not_run_twice(store: Path, monkeypatch) -> None:
    sweeps = ladder.configs(BOOKS, toy=True, only=("facts", "books"))
    table = ladder.run(sweeps, store, store / "out")
    assert set(table["recipe"]) == {"gpt2-adamw", "gpt2-muon", "llama-adamw", "llama-muon"}
    assert (table["status"] == "finished").all() and table.groupby(["series", "recipe"]).ngroups == 8
    assert (table.loc[table["series"] == "facts", "H_data"] == 0).all()
    assert (store / "out" / "MISSING.md").read_text() == "- nothing\n"
    monkeypatch.setattr("scalefit.training.sweeps.worker.train", None)
    pd.testing.assert_frame_equal(ladder.run(sweeps, store, store / "out"), table)


def test_the_ladder_says_what_is_missing(store: Path) -> None:
    sweeps = ladder.configs(None, toy=True)
    assert ladder.write(sweeps, store, store / "new" / "out").empty
    assert (store / "new" / "out" / "MISSING.md").read_text().count(": all") == 4
    ladder.Sweep(sweeps["modern_facts_adamw"], store)
    ladder.work(store, "modern_facts_adamw", max_runs=3)
    ladder.write(sweeps, store, store / "out")
    said = (store / "out" / "MISSING.md").read_text()
    assert "modern_facts_adamw: " in said and "modern_facts_adamw: all" not in said and "modern_facts_muon: all" in said


def test_the_ladder_spans_enough() -> None:
    sweeps = ladder.configs(BOOKS)
    assert [set(config.corpora) for config in sweeps.values()] == [
        {name} for name in ("books", "facts", "stdlib") for _ in ladder.RECIPES
    ]
    for config in sweeps.values():
        text = "facts" not in config.name
        for family in ("gpt2", "llama"):
            sizes = [size for size in config.sizes if size.model.family == family]
            N = [count_parameters(size.model, 512 if text else 4_160).total for size in sizes]
            assert len(N) == (5 if text else 6) and N == sorted(N) and np.log10(N[-1] / N[0]) > 1.3
            assert sum(len(size.seeds) == 3 for size in sizes) == 2  # a third
            assert all(len(size.tokens or config.tokens) >= 4 for size in sizes)


def test_the_table_is_what_the_configs_make() -> None:
    runs = pd.read_csv(DATA / "runs.csv")
    made = {*zip(runs["series"], runs["optimizer"], strict=True)}
    assert made >= {(series, recipe) for series in ("books", "facts") for recipe in ladder.RECIPES}
    sweeps = {
        name: config
        for name, config in ladder.configs(BOOKS).items()
        if (*config.corpora, config.optimizer.name) in made
    }
    methods = (DATA / "METHODS.md").read_text()
    for name, config in sweeps.items():
        assert f"# Methods of the sweep {name}\n" in methods
        if "books" not in config.corpora:  # the digest holds the path to the books
            assert sweep_digest(config) in methods
        (series,) = config.corpora
        rows = runs[(runs["series"] == series) & (runs["optimizer"] == config.optimizer.name)]
        rows = rows[rows["kind"] == "branch"]
        vocabulary = int(rows["vocab_size"].iloc[0])
        wanted = {
            (count_parameters(size.model, vocabulary).total, D, seed)
            for size in config.sizes
            for D in size.tokens or config.tokens
            for seed in size.seeds or config.seeds
        }
        assert {*zip(rows["N"], rows["D"], rows["seed"], strict=True)} == wanted
    assert (runs["status"] == "finished").all() and not runs["lr_at_edge"].any()
    assert {"seconds", "tokens_per_second"} <= {*runs.columns} and (runs["tokens_per_second"] > 0).all()
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 1_000_000


def test_muon_is_ahead_on_the_shortest_runs_of_the_books_and_over_all_of_them_nothing_is_seen() -> None:
    """As docs/training.md says it: by pairs of the same shape, size and tokens, and by laws for a Llama shape."""
    runs = sf.load_dataset("scalefit_modern")
    books = runs[runs["series"] == "books"].drop(columns="series")
    cells = books.groupby(["family", "N", "D", "optimizer"])["loss"].mean().unstack("optimizer").reset_index()
    shortest = cells[cells["D"] == cells["D"].min()]
    assert len(shortest) == 10 and (shortest["muon"] < shortest["adamw"]).all()
    found = sf.compare_recipes(books, recipe="recipe", baseline="gpt2-adamw").table.loc["llama-adamw"]
    assert found["verdict"].startswith("llama-adamw is better") and found["lower"] > 1
    llama = books[books["family"] == "llama"]
    found = sf.compare_recipes(llama, recipe="optimizer", baseline="adamw").table.loc["muon"]
    assert "no difference seen" in found["verdict"] and found["lower"] < 1 < found["upper"]

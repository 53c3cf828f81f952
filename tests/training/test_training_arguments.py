"""What a person may pass to the harness by mistake."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import ArgumentError
from scalefit.training import (
    CorpusConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    SweepConfig,
    load_config,
    sweep,
    train,
)
from scalefit.training.bench import bench


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (None, "NoneType lacks D and N"),
        (pd.DataFrame({"N": [1e5]}), "lacks D"),
        (pd.DataFrame({"N": [], "D": []}), "lacks rows"),
        (pd.DataFrame({"N": [float("nan")], "D": [1e6]}), "Row 0 of the table has N=nan"),
        (pd.DataFrame({"N": ["x"], "D": [1e6]}), "N='x' is not a number"),
    ],
)
def test_a_sweep_needs_sizes_and_tokens(table, words):
    with pytest.raises(sf.ScalefitError, match=words):
        SweepConfig.from_table(table)


def test_columns_serve_as_a_table():
    columns = {"N": [1e5, 2e5], "D": [1e6, 1e6]}
    assert SweepConfig.from_table(columns) == SweepConfig.from_table(pd.DataFrame(columns))


def test_configs_are_configs(tmp_path):
    with pytest.raises(sf.ScalefitError, match="config is a int; nothing was run. Make a RunConfig"):
        train(3, tmp_path)
    with pytest.raises(sf.ScalefitError, match="config is a NoneType; nothing was run. Make a SweepConfig"):
        sweep(None, tmp_path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ModelConfig(n_layers="two"), "ModelConfig.n_layers = 'two'.*a whole number"),
        (lambda: ModelConfig(n_heads=1.5), "n_heads = 1.5.*a whole number"),
        (lambda: ModelConfig(tied="yes"), "tied = 'yes'.*true or false"),
        (lambda: OptimizerConfig(lr=("a",)), "OptimizerConfig.lr = .*a number or a list"),
        (lambda: ScheduleConfig(tokens=None), "tokens = None"),
        (lambda: RunConfig(seeds=(0.5,)), "seeds = .*a list, each of it a whole number"),
        (lambda: RunConfig(model=3), "model = 3.*a ModelConfig or a table of its fields"),
        (lambda: SweepConfig(lr=3, tokens=(5,)), "lr = 3.*LearningRateConfig"),
    ],
)
def test_a_value_of_another_type_is_named(make, words):
    with pytest.raises(ArgumentError, match=words):
        make()


def test_numbers_lists_paths_and_tables_are_taken_as_fields_want_them(tmp_path):
    assert ModelConfig(n_layers=np.int64(3), d_emb=64.0) == ModelConfig(n_layers=3, d_emb=64)
    assert ModelConfig(tied=np.False_).tied is False
    assert RunConfig(seeds=range(2), optimizer={"lr": np.array([1e-3, 3e-3])}).members[-1] == (3e-3, 1)
    assert RunConfig(seeds=3).seeds == (3,)
    assert CorpusConfig(source="files", path=tmp_path).path == str(tmp_path)
    assert RunConfig(optimizer=OptimizerConfig(clip=1)).run_id("0") == RunConfig().run_id("0")
    sizes = SweepConfig(tokens=[5], sizes=[{"n_layers": 1}], lr={"grid": [1e-2]}, corpora={"m": {"source": "markov"}})
    assert sizes.sizes[0].model.n_layers == 1 and sizes.lr.grid == (1e-2,) and sizes.corpora["m"].source == "markov"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[model]\nd_ff = 0", "d_ff = 0; nothing was run. Make it a positive whole number"),
        ("[model]\nvocab_size = -1", "vocab_size = -1"),
        ("[model]\ntied = 1", "tied = 1; nothing was run. Make it true or false"),
        ('[schedule]\ntokens = ["1e6"]', "a whole number"),
        ("[schedule]\nwarmup = -5", "warmup = -5; nothing was run. Make it 0 or more"),
        ("[optimizer]\nlr = []", "one or more rates"),
    ],
)
def test_a_field_of_a_file_that_makes_no_sense_is_named(tmp_path, text, words):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(ArgumentError) as refused:
        load_config(tmp_path / "run.toml", RunConfig)
    assert words in str(refused.value) and "nothing was run" in str(refused.value)


def test_a_config_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "run.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ArgumentError, match="is not text"):
        load_config(tmp_path / "run.toml", RunConfig)


@pytest.mark.parametrize(
    ("options", "words"), [({"sizes": ("5T",)}, "Unknown sizes"), ({"seconds": 0.0}, "seconds=0.0")]
)
def test_a_bench_needs_sizes_and_time(options, words):
    with pytest.raises(ArgumentError, match=words):
        bench(device="cpu", **options)


def test_a_run_is_named_by_what_differs_from_the_defaults() -> None:
    """A field that is added with a default renames no run, and one that is set to its default is the default."""
    config = RunConfig(model={"family": "llama"}, seeds=(1,))
    assert config.changes() == {"model": {"family": "llama"}, "seeds": [1]}
    assert RunConfig(model=ModelConfig(d_emb=64)).run_id("0") == RunConfig().run_id("0") != config.run_id("0")
    sizes = SweepConfig(tokens=[5], sizes=[{"n_layers": 1}])
    assert sizes.changes() == {"tokens": [5], "sizes": [{"model": {"n_layers": 1}}]}


def test_naming_a_preset_imports_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from scalefit.training import ModelConfig; ModelConfig.from_dict({'preset': 'gpt2-small'});"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=240).returncode == 0

"""What the command line says of bad input: flags that the command has, and no Python spelling."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest
import typer

import scalefit as sf
from scalefit.cli import build_app

#: A word for each kind of input: the files are made below.
BAD = [
    ["fit", "two.csv"],
    ["fit", "few.csv"],
    ["fit", "one_n.csv"],
    ["fit", "ratio.csv"],
    ["fit", "no_loss.csv"],
    ["fit", "perplexity.csv"],
    ["fit", "gone.csv"],
    ["fit", "runs.csv", "--fix", "Q=1"],
    ["fit", "runs.csv", "--fix", "E=-3"],
    ["fit", "runs.csv", "--bound", "E=3:1"],
    ["fit", "runs.csv", "--prior", "Q=1:1"],
    ["fit", "runs.csv", "--prior", "E=1:-1"],
    ["fit", "runs.csv", "--delta", "-1"],
    ["fit", "runs.csv", "--law", "chinchila"],
    ["fit", "runs.csv", "--N", "params"],
    ["fit", "runs.csv", "--loss-unit", "metres"],
    ["fit", "runs.csv", "--by", "series"],
    ["fit", "runs.csv", "--weight", "gone"],
    ["fit", "runs.csv", "--only", "x"],
    ["fit", "runs.csv", "--column", "N=gone"],
    ["fit", "runs.csv", "--input", "n_experts=gone"],
    ["fit", "runs.csv", "--plot", "x.foo"],
    ["fit", "runs.csv", "--save", "runs.csv"],
    ["predict", "runs.csv", "--N", "7B", "--D", "2T"],
    ["predict", "fit.json", "--N", "7B"],
    ["predict", "fit.json", "--N", "-1", "--D", "2T"],
    ["predict", "fit.json", "--N", "7B", "--D", "2T", "--series", "a"],
    ["predict", "fit.json", "--at", "N=7B,D=2T,unique_token=1"],
    ["predict", "--law", "chinchilla", "--published", "nobody", "--N", "7B", "--D", "2T"],
    ["forecast", "runs.csv", "--loss-unit", "furlong"],
    ["forecast", "perplexity.csv"],
    ["score", "runs.csv", "--loss", "2"],
    ["compare", "two.csv", "--law", "chinchilla"],
    ["compare", "runs.csv", "--law", "chinchilla", "--holdout", "half"],
    ["compare", "runs.csv", "--law", "chinchilla", "--holdout", "200-fold"],
    ["compare-recipes", "runs.csv"],
    ["compare-recipes", "recipes.csv", "--recipe", "gone"],
    ["compare-recipes", "recipes.csv", "--baseline", "gone"],
    ["compare-recipes", "few.csv", "--recipe", "loss"],
    ["plan", "fit.json"],
    ["plan", "fit.json", "--C", "1e22", "--loss", "2"],
    ["plan", "fit.json", "--C", "-1"],
    ["plan", "fit.json", "--loss", "0.1"],
    ["plan", "fit.json", "--ratio", "1e9"],
    ["plan", "fit.json", "--N", "1e9", "--hold", "ratio=20"],
    ["plan", "fit.json", "--C", "1e22", "--at", "n_experts=8"],
    ["plan", "fit.json", "--C", "1e22", "--choose", "n_experts=1:64"],
    ["plan", "fit.json", "--C", "1e22", "--hardware", "abacus"],
    ["plan", "fit.json", "--C", "1e22", "--hardware", "h100", "--mfu", "3"],
    ["plan", "fit.json", "--C", "1e22", "--series", "a"],
    ["plan", "fit.json", "--C", "1e22", "--unique-tokens", "-1"],
    ["plan", "two.csv", "--C", "1e22"],
    ["plan", "--C", "1e22"],
    ["isoflop", "two.csv"],
    ["isoflop", "few.csv"],
    ["isoflop", "runs.csv", "--budget", "gone"],
    ["envelope", "two.csv"],
    ["envelope", "few.csv"],
    ["envelope", "runs.csv", "--run", "gone"],
    ["next-runs", "fit.json", "--budget", "1"],
    ["next-runs", "fit.json", "--budget", "1e20", "--target", "beauty"],
    ["next-runs", "two.csv", "--budget", "1e20"],
    ["minimum-loss", "--N", "124M"],
    ["minimum-loss", "--N", "-1", "--D", "9B", "--n-layers", "12", "--d-emb", "768", "--T-max", "1024"],
    ["floor", "--N", "124M"],
    ["floor", "--N", "124M", "--D", "10", "--n-layers", "12", "--d-emb", "768", "--T-max", "1024"],
    ["floor", "--N", "124M", "--D", "9B", "--n-layers", "0", "--d-emb", "768", "--T-max", "1024"],
    ["floor", "--N", "124M", "--D", "9B", "--n-layers", "1", "--d-emb", "768", "--T-max", "9", "--radius", "big"],
    ["floor", "runs.csv"],
    ["floor", "runs.csv", "--N", "1e8"],
    ["collect", "gone"],
    ["collect", "empty"],
    ["collect", "empty", "--batch-tokens", "many"],
    ["advise", "gone.csv"],
    ["advise", "runs.csv"],
    ["advise", "log.csv", "--plan", "gone.toml"],
    ["advise", "log.csv", "--val", "gone"],
    ["advise", "log.csv", "--kind", "poem"],
    ["advise", "log.csv", "--law", "runs.csv"],
    ["advise", "losses.csv"],
    ["laws", "gone"],
    ["datasets", "gone", "-o", "x.csv"],
    ["report", "two.csv", "-o", "r.html"],
    ["report", "runs.csv", "-o", "r.html", "--budget", "-1"],
    ["hyperparameters", "runs.csv"],
    ["hyperparameters", "gone.csv"],
    ["downstream", "runs.csv"],
    ["downstream", "runs.csv", "--metric", "gone"],
    ["mixture", "runs.csv"],
    ["mixture", "gone.csv"],
    ["entropy", "gone.txt"],
    ["exponent", "gone.txt"],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 1e10, 5), np.geomspace(1e9, 2e11, 5)))
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    loss *= np.exp(0.003 * np.random.default_rng(0).standard_normal(N.size))

    def write(name, header, rows):
        (folder / name).write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")

    rows = list(zip(N, D, loss, strict=True))
    write("runs.csv", "N,D,loss", rows)
    write("two.csv", "N,D,loss,series", [(*row, "ab"[i % 2]) for i, row in enumerate(rows)])
    write("recipes.csv", "N,D,loss,recipe", [(*row, "abc"[i % 3]) for i, row in enumerate(rows)])
    write("few.csv", "N,D,loss", rows[:3])
    write("one_n.csv", "N,D,loss", [(1e8, d, x) for _, d, x in rows])
    write("ratio.csv", "N,D,loss", [(n, 20 * n, x) for n, _, x in rows])
    write("no_loss.csv", "N,D", [row[:2] for row in rows])
    write("perplexity.csv", "N,D,perplexity", [(n, d, np.exp(x)) for n, d, x in rows])
    write("log.csv", "step,val_loss", [(i, 3 + 1 / i) for i in range(1, 40)])
    write("losses.csv", "step,val_a_loss,val_b_loss", [(i, 3, 4) for i in range(1, 40)])
    (folder / "empty").mkdir()
    sf.fit(folder / "runs.csv", "chinchilla").to_json(folder / "fit.json")
    return folder


@cache
def commands():
    return typer.main.get_command(build_app()).commands


def flags_of(command):
    return {option for parameter in commands()[command].params for option in parameter.opts}


FLAG = re.compile(r"(?<![\w-])--[A-Za-z][\w-]*")
#: What follows a flag may have an equals sign of its own: --fix E=..., --at N=7B,D=2T.
PAIR = re.compile(r"--[\w-]+ (?:'[^']*'|[^\s;]*)")
ELSEWHERE = re.compile(r"scalefit ([a-z][a-z-]*)((?: --[\w-]+)+)")


@pytest.mark.parametrize("words", BAD, ids=" ".join)
def test_messages_name_flags_of_the_command_and_no_python(run, folder, monkeypatch, words):
    monkeypatch.chdir(folder)
    code, _, err = run(*words)
    assert code in (1, 2) and err.count("\n") <= 12, err
    for command, flags in ELSEWHERE.findall(err):
        assert set(flags.split()) <= {*flags_of(command), "--help"}, err
    own = ELSEWHERE.sub("", err)
    assert set(FLAG.findall(own)) <= flags_of(words[0]), own
    spelled = PAIR.sub("", own)
    for word in words[1:]:
        spelled = spelled.replace(word, "")
    assert not re.search(r"(?<![\w.])[A-Za-z_]\w*=", spelled), own
    for python in ("sf.", "read_runs", "to_json", "load_result", "DataFrame", "{'"):
        assert python not in own, own


def test_every_command_that_reads_something_is_tried():
    without_input = {"theory", "bench", "sweep", "train", "experiment"}  # the last three: tests/training
    assert set(commands()) - without_input == {words[0] for words in BAD}


@pytest.mark.parametrize(
    "ask",
    [
        lambda: sf.fit("two.csv"),
        lambda: sf.fit("few.csv"),
        lambda: sf.fit("perplexity.csv"),
        lambda: sf.fit("no_loss.csv"),
        lambda: sf.fit("runs.csv", fixed={"Q": 1}),
        lambda: sf.fit("runs.csv", bounds={"E": (3, 1)}),
        lambda: sf.forecast("two.csv"),
        lambda: sf.compare("two.csv", "chinchilla"),
        lambda: sf.isoflop("two.csv"),
        lambda: sf.report("two.csv"),
        lambda: sf.plan(sf.load_result("fit.json"), C=1e22, loss=2),
        lambda: sf.plan(sf.load_result("fit.json"), ratio=1e9),
        lambda: sf.plan(sf.load_result("fit.json"), C=1e22, at={"n_experts": 8}),
        lambda: sf.load_result("runs.csv"),
        lambda: sf.loss_floor(N=1e8),
        lambda: sf.collect("empty"),
    ],
)
def test_python_never_speaks_of_flags(folder, monkeypatch, ask):
    monkeypatch.chdir(folder)
    with pytest.raises(sf.ScalefitError) as error:
        ask()
    said = str(error.value)
    assert not FLAG.search(said) and not re.search(r"[\x00-\x1f]", said), said
    assert error.value.seen in said and error.value.did in said and error.value.do[1:] in said

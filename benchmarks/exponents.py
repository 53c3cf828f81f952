"""Exponents from text against measured ones, and how often entropy brackets cover.

Writes results/exponents.json:

    SCALEFIT_DATA_DIR=/path/to/data python benchmarks/exponents.py [coverage] [predict] [ladders] [names of corpora]

`predict`: sf.predict_exponent, by its defaults, on Python's standard library, 73 books and Shakespeare's plays (from
the folder that SCALEFIT_DATA_DIR names, under corpora/), the Markov source of data/scalefit_cpu and the standard
library with its tokens shuffled; against the best n-gram's own exponent at the same H_inf.
`ladders`: what trained transformers measure on the same corpora, recipe by recipe: Chinchilla's beta with E held at
that H_inf, over all sizes and over the larger ones, and the exponent of the largest model between its largest D.
`coverage`: sf.entropy_bounds on sources whose entropy is known, several sizes and seeds.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import scalefit as sf
from scalefit.corpora.read import read_corpus
from scalefit.memory.zipf import ZipfFacts
from scalefit.training.config import CorpusConfig
from scalefit.training.data.corpus_build import markov_source
from scalefit.training.data.markov import MarkovSource

RESULTS = Path(__file__).parent / "results" / "exponents.json"
DATA = Path(__file__).parents[1] / "data"
#: The Markov source of the ladders.
MARKOV = CorpusConfig(source="markov", order=1, n_states=512, branching=8, n_tokens=2_100_000, seed=0)
#: Name of a corpus to its series and H_inf [nat/token] in the ladders that were trained here.
LADDERS = {
    "standard library": ("stdlib", 0.0),
    "73 books": ("books", 0.0),
    "Markov source": ("markov", markov_source(MARKOV).entropy_rate),
    "facts": ("facts", 0.0),
}
#: Keys and Zipf exponent of the facts (benchmarks/modern_ladder/facts.toml).
FACTS = ZipfFacts(4_096, 1.5)
#: Sizes from which on a fit of the ladder is repeated: smaller models hardly learn from data at all.
LARGER = 45_000
SIZES, SEEDS = (20_000, 100_000, 400_000), range(4)
SOURCES = ((1, 8, 2), (1, 64, 8), (1, 512, 8), (2, 16, 4), (2, 64, 4), (3, 8, 2), (3, 16, 4), (3, 32, 8))


def shuffled() -> Any:
    """Tokens of the standard library in random order."""
    sample = read_corpus("stdlib", tokenizer="bpe:512", max_tokens=2_000_000)
    tokens = np.random.default_rng(0).permutation(np.concatenate(sample.train))
    return tokens[: len(tokens) // 1000 * 1000].reshape(-1, 1000)


def corpora() -> dict[str, Callable[[], Any]]:
    """Name to what gives the corpus."""
    folder = Path(os.environ.get("SCALEFIT_DATA_DIR", "")) / "corpora"
    found: dict[str, Callable[[], Any]] = {"standard library": lambda: "stdlib"}
    for name, file in (("73 books", "classic_books_A_35MB.tar.xz"), ("Shakespeare", "tinyshakespeare.txt")):
        if (folder / file).exists():
            found[name] = lambda path=folder / file: path  # type: ignore[misc]
    found["Markov source"] = lambda: MARKOV
    found["standard library, shuffled"] = shuffled
    return found


def ladders(names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of what each recipe of each ladder measures."""
    for file in sorted(DATA.glob("scalefit_*/runs.csv")):
        runs = sf.read_runs(file, series="series")
        runs = runs[(runs["kind"] == "branch") & (runs["status"] == "finished")]
        for name, (series, entropy) in LADDERS.items():
            some = runs[runs["series"] == series].drop(columns="series")
            if (names and name not in names) or not len(some):
                continue
            for recipe, rows in some.groupby("recipe" if "recipe" in some else "family"):
                row = {"name": name, "data": file.parent.name, "recipe": str(recipe), "entropy": entropy}
                row |= {"fits": fits(rows, entropy), "largest": largest(rows, entropy)}
                if series == "facts":  # what Zipf's theory says of the same doublings: the mass of keys not yet seen
                    row["predicted"] = _slopes(row["largest"]["D"], FACTS.unseen(row["largest"]["D"]))
                print(row, flush=True)
                yield row


def fits(runs: Any, entropy: float) -> list[dict[str, Any]]:
    """Chinchilla's data exponent with E held, over all sizes and over the larger ones."""
    rows = []
    for least in (0, LARGER):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = sf.fit(runs[runs["N"] >= least], "chinchilla", fixed={"E": entropy})
            lower, upper = result.conf_int(level=0.9).loc["beta"]
        row = {"least_N": least, "beta": float(result.params["beta"]), "lower": float(lower), "upper": float(upper)}
        rows.append(row | {"trusted": bool(result.trusted), "runs": int(result.n_runs)})
    return rows


def largest(runs: Any, entropy: float) -> dict[str, Any]:
    """Exponent of the loss above H_inf of the largest model, between its three largest D."""
    cells = runs[runs["N"] == runs["N"].max()].groupby("D")["loss"].mean().iloc[-3:]
    D = [float(value) for value in cells.index]
    return {"N": float(runs["N"].max()), "D": D, "exponents": _slopes(D, cells - entropy)}


def _slopes(D: Any, losses: Any) -> list[float]:
    """Exponents between neighbouring D."""
    return [float(value) for value in -np.diff(np.log(losses)) / np.diff(np.log(D))]


def predict(names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for name, make in corpora().items():
        if names and name not in names:
            continue
        start = time.process_time()
        options: dict[str, Any] = {"entropy": 0.0}
        found = sf.predict_exponent(make(), **options)
        row: dict[str, Any] = {"name": name, "corpus": found.corpus, "kind": found.decay.kind, "verdict": found.verdict}
        row |= {"n_lags": found.decay.n_lags, "exponent": found.exponent, "interval": found.interval}
        row |= {"beta": found.decay.beta, "gamma": found.gamma, "contexts": found.contexts}
        row |= {"converged": found.converged, "n_gram": found.n_gram.tolist(), "losses": found.losses.tolist()}
        row |= {"rms_power": found.decay.rms_power, "rms_exponential": found.decay.rms_exponential}
        every = found.table["exponent"]
        row["free"] = [float(every.min()), float(every.max())] if len(every) else None
        row["cpu_seconds"] = time.process_time() - start
        print(name, found.verdict, f"{row['cpu_seconds']:.0f} CPU s", flush=True)
        yield row


def sources(tokens: int, seed: int) -> dict[str, tuple[Any, float]]:
    """Name to token ids and their exact entropy."""
    rng = np.random.default_rng([seed, tokens])
    rows = tokens // 1000
    found: dict[str, tuple[Any, float]] = {}
    for order, states, branching in SOURCES:
        source = MarkovSource(order, states, branching, seed)
        found[f"Markov, order {order}, {states} states"] = (source.sample(rows, 1000, rng), source.entropy_rate)
    p = 1.0 / np.arange(1, 201)
    p /= p.sum()
    found["independent, Zipf"] = (rng.choice(200, (rows, 1000), p=p), float(-(p * np.log(p)).sum()))
    pair = MarkovSource(1, 32, 4, 2 * seed + 1), MarkovSource(1, 32, 4, 2 * seed + 2)
    mixed = np.concatenate([source.sample(rows // 2, 1000, rng) for source in pair])
    mean = (pair[0].entropy_rate + pair[1].entropy_rate) / 2
    found["mixture of two Markov sources"] = (mixed[rng.permutation(len(mixed))], mean)
    for back in (5, 20):
        bits = rng.integers(0, 2, (rows, 1000))
        for j in range(back, 1000):
            bits[:, j] = np.where(rng.random(rows) < 0.9, bits[:, j - 1] ^ bits[:, j - back], bits[:, j])
        found[f"exclusive or, {back} back"] = (bits, float(-(0.95 * np.log(0.95) + 0.05 * np.log(0.05))))
    return found


def _ends(found: sf.EntropyBounds) -> list[float] | None:
    """Ends of what n-gram losses extrapolate to."""
    far = found.extrapolation
    return None if far is None else [far.lower, far.upper]


def coverage(_: Sequence[str]) -> Iterator[dict[str, Any]]:
    for tokens in SIZES:
        for seed in SEEDS:
            for name, (ids, entropy) in sources(tokens, seed).items():
                found = sf.entropy_bounds(ids, seed=seed)
                text = found.from_text
                row: dict[str, Any] = {"source": name, "tokens": tokens, "seed": seed, "entropy": entropy}
                row |= {"upper": found.upper, "determined": text is not None}
                row["extrapolated"] = _ends(found)
                if text is not None:
                    row |= {"lower": text.lower, "estimate": text.estimate, "top": text.upper}
                yield row
        print(tokens, "tokens done", flush=True)
    for seed in SEEDS:
        config = CorpusConfig(source="question_formation", tokenizer="words", packing="line", n_lines=8000, seed=seed)
        found = sf.entropy_bounds(config, seed=seed)
        row = {"source": "grammar that copies", "tokens": found.n_train, "seed": seed, "entropy": found.exact}
        row["extrapolated"] = _ends(found)
        yield row | {"upper": found.upper, "determined": found.from_text is not None}


def main() -> None:
    known = ("coverage", "predict", "ladders")
    asked = [word for word in sys.argv[1:] if word in known] or known
    names = [word for word in sys.argv[1:] if word not in known]
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, measure in (("coverage", coverage), ("predict", predict), ("ladders", ladders)):
        if name in asked:
            document[name] = [row for row in document.get(name, []) if names and row.get("name") not in names]
            for row in measure(names):
                document[name].append(row)
                RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB at most")


if __name__ == "__main__":
    main()

"""The second CPU ladder: GPT-2 and a modern decoder, by AdamW and by Muon, on three corpora, in pieces.

    OMP_NUM_THREADS=1 timeout 3600 python benchmarks/modern_ladder/run.py --books BOOKS.tar.xz --store runs_ladder

Books (any text; ours were 35 MB of classic ones), facts under Zipf's law, whose values follow from their keys, so that
their entropy is 0, and Python's standard library, in this order. Each size has its rate probed; two of five or six
sizes have three seeds. It ends when `timeout` says so and goes on when it is called again; several hours of one core in
all. The tables of what is finished are in ``--out``: one ``runs.csv`` with the columns ``recipe`` and ``optimizer``,
MISSING.md, and for each sweep its METHODS.md. ``--only books facts`` leaves the other corpora out.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd

from scalefit.training import SweepConfig, load_config
from scalefit.training.config import CorpusConfig, EvaluationConfig, ModelConfig
from scalefit.training.sweeps.collect import collect
from scalefit.training.sweeps.grid import LearningRateConfig, SizeConfig, Sweep
from scalefit.training.sweeps.worker import work

HERE = Path(__file__).parent
#: Peak rates that are tried. Muon's steps are scaled to the size of AdamW's, so that one grid serves both.
RECIPES = ("adamw", "muon")
CORPORA = ("books", "facts", "stdlib")


def configs(books: str | None, toy: bool = False, only: Sequence[str] = CORPORA) -> dict[str, SweepConfig]:
    """Return a sweep for each corpus and recipe; none of the books where none are given."""
    found = {}
    for corpus in CORPORA:
        if corpus not in only or (corpus == "books" and not books):
            continue
        base = load_config(HERE / ("facts.toml" if corpus == "facts" else "text.toml"), SweepConfig)
        if corpus == "books":
            base = replace(base, corpora={"books": CorpusConfig(source="files", path=books, tokenizer="bpe:512")})
        for recipe in RECIPES:
            name = f"modern_{corpus}_{recipe}"
            config = replace(base, name=name, optimizer=replace(base.optimizer, name=recipe))
            found[name] = _toy(config) if toy else config
    return found


def _toy(config: SweepConfig) -> SweepConfig:
    """Seconds: one size of each family, a small corpus."""
    facts = {name: replace(item, n_keys=64, n_tokens=4_000) for name, item in config.corpora.items()}
    markov = {name: CorpusConfig(source="markov", n_states=32, n_tokens=60_000) for name in config.corpora}
    families = dict.fromkeys(size.model.family for size in config.sizes)
    sizes = [
        SizeConfig(model=ModelConfig(family=family, n_layers=1, d_emb=8, n_heads=1, T_max=32)) for family in families
    ]
    return replace(
        config,
        corpora=facts if "facts" in config.corpora else markov,
        sizes=tuple(sizes),
        tokens=(2_000, 4_000),
        lr=LearningRateConfig(grid=(3e-3, 1e-2), tokens=2_000, extend=0),
        optimizer=replace(config.optimizer, batch_size=8),
        evaluation=EvaluationConfig(tokens=1_000, curve_points=3),
    )


def run(sweeps: Mapping[str, SweepConfig], store: Path, out: Path) -> pd.DataFrame:
    """Train what is missing, cheap runs first in each sweep, and write the tables of what is there."""
    for name, config in sweeps.items():
        Sweep(config, store)
        work(store, name)
        write(sweeps, store, out)
    return write(sweeps, store, out)


def write(sweeps: Mapping[str, SweepConfig], store: Path, out: Path) -> pd.DataFrame:
    """Write the tables of what is finished, a folder for each sweep and all together; say which runs are missing."""
    found, missing = [], []
    for name, config in sweeps.items():
        if not (store / "sweeps" / f"{name}.json").exists():
            missing.append(f"{name}: all")
            continue
        sweep = Sweep(config, store)
        collect(sweep, out / name)
        found.append(out / name)
        left = sum(not sweep.folder(job).finished for job in sweep.jobs())
        if left:
            missing.append(f"{name}: {left} of the runs known so far")
    out.mkdir(parents=True, exist_ok=True)
    (out / "MISSING.md").write_text("\n".join(f"- {line}" for line in missing) + "\n" if missing else "- nothing\n")
    if not found:
        return pd.DataFrame()
    methods = [(folder / "METHODS.md").read_text() for folder in found]
    (out / "METHODS.md").write_text("\n".join(methods))
    return [_together(out, found, file) for file in ("curves.csv.gz", "lr_probes.csv", "runs.csv")][-1]


def _together(out: Path, folders: list[Path], file: str) -> pd.DataFrame:
    """Write one table of those of the sweeps; runs and probes say their recipe."""
    tables = []
    for folder in folders:
        with suppress(pd.errors.EmptyDataError):  # a sweep that has only begun
            tables.append(pd.read_csv(folder / file))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if "family" in table:
        table["recipe"] = table["family"] + "-" + table["optimizer"]
    form = "%.5g" if file.startswith("curves") else "%.7g"
    packed = {"method": "gzip", "mtime": 0} if file.endswith(".gz") else None
    table.to_csv(out / file, index=False, float_format=form, compression=packed)
    return table


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--books", help="text files, a folder or a .tar.xz")
    parser.add_argument("--store", type=Path, default=Path("runs_ladder"))
    parser.add_argument("--out", type=Path, default=Path("ladder_tables"))
    parser.add_argument("--collect", action="store_true", help="write the tables of what is finished, train nothing")
    parser.add_argument("--only", nargs="+", choices=CORPORA, default=CORPORA, help="the corpora to train on")
    parser.add_argument("--toy", action="store_true", help="seconds")
    arguments = parser.parse_args()
    do = write if arguments.collect else run
    print(len(do(configs(arguments.books, arguments.toy, arguments.only), arguments.store, arguments.out)), "rows")


if __name__ == "__main__":
    main()

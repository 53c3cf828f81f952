"""Does a fit end at the optimum? Random tables for every law against an independent search; results/optimum.json.

Each table is drawn from the law itself (optimum_tables.py), as isoFLOP curves, a grid, a ladder, scattered runs or one
variable alone, with noise and sometimes a few bad runs. The other search (optimum_search.py) shares no code with the
fit. A fit misses where its objective is above the other's by more than 1e-6, relatively; objectives that differ by less
than 1e-12 count as equal, since that is what residuals of about 1e-6 in one run amount to.

    OMP_NUM_THREADS=1 python benchmarks/optimum.py --tables 20                 # seeds 0 to 19 of every law
    OMP_NUM_THREADS=1 python benchmarks/optimum.py --first 20 --tables 20      # 20 more
    OMP_NUM_THREADS=1 python benchmarks/optimum.py --laws coupled --again      # the misses on file, once more

Results add up: seeds that are counted already are passed over, and a run that is stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from optimum_search import STARTS, Search
from optimum_tables import table_of

import scalefit as sf

RESULTS = Path(__file__).parent / "results" / "optimum.json"
TOLERANCE, SAME = 1e-6, 1e-12
COUNTS = ("fitted", "refused", "trusted", "misses", "trusted_misses", "other_search_misses")
#: Tables after which what was found is written.
AT_ONCE = 5


def one(name: str, seed: int) -> dict[str, Any]:
    """One table: what the fit and the other search reach."""
    warnings.simplefilter("ignore")
    kind, law, runs, truth = table_of(name, seed)
    target = runs[law.target.name]
    row: dict[str, Any] = {"law": name, "seed": seed, "design": kind, "n": len(target)}
    start = time.process_time()
    try:
        result = sf.fit(runs, law)
    except sf.FitError as error:
        return {**row, "refused": str(error)[:120]}
    row["fit_seconds"] = time.process_time() - start
    best = Search(law, {key: runs[key] for key in law.inputs}, target).run(np.random.default_rng(seed), truth)
    row["seconds"] = time.process_time() - start
    ours = result.objective_value
    return {
        **row,
        "ratio": float(ours / best) if best > 0 else 1.0,
        "miss": bool(ours > best * (1 + TOLERANCE) + SAME),
        "lower": bool(best > ours * (1 + TOLERANCE) + SAME),
        "trusted": bool(result.certificate.trusted),
        "agree": f"{result.certificate.n_agree} of {result.certificate.n_starts}",
    }


# -- results that add up -----------------------------------------------------------------------------------------------


def seeds_of(entry: dict[str, Any]) -> set[int]:
    """Seeds that an entry counts."""
    return {seed for first, end in entry.get("seeds", []) for seed in range(first, end)}


def ranges(seeds: Iterable[int]) -> list[list[int]]:
    """Seeds as ranges [first, end)."""
    out: list[list[int]] = []
    for seed in sorted(seeds):
        if out and out[-1][1] == seed:
            out[-1][1] += 1
        else:
            out.append([seed, seed + 1])
    return out


def read(path: Path) -> dict[str, Any]:
    """What was found so far."""
    empty = {"starts": STARTS, "tolerance": TOLERANCE, "same": SAME, "laws": [], "misses": []}
    return json.loads(path.read_text()) if path.is_file() else empty


def add(document: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Count rows of tables; those of seeds that are counted already change nothing."""
    laws = {entry["law"]: entry for entry in document["laws"]}
    for row in rows:
        entry = laws.setdefault(row["law"], {"law": row["law"], "seeds": [], **dict.fromkeys(COUNTS, 0)})
        seeds = seeds_of(entry)
        if row["seed"] in seeds:
            continue
        entry["seeds"] = ranges(seeds | {row["seed"]})
        if "refused" in row:
            entry["refused"] += 1
            entry["why"] = row["refused"]
            continue
        found = {"fitted": True, "trusted": row["trusted"], "misses": row["miss"]}
        found |= {"trusted_misses": row["miss"] and row["trusted"], "other_search_misses": row["lower"]}
        for key, value in found.items():
            entry[key] += int(value)
        if row["miss"]:
            document["misses"].append({k: row[k] for k in ("law", "seed", "design", "n", "ratio", "trusted", "agree")})
    document["laws"] = [laws[name] for name in sorted(laws)]
    document["misses"].sort(key=lambda row: (row["law"], row["seed"]))


def forget_misses(document: dict[str, Any], law: str) -> list[int]:
    """Take a law's misses out of the counts, and return their seeds."""
    gone = [row for row in document["misses"] if row["law"] == law]
    document["misses"] = [row for row in document["misses"] if row["law"] != law]
    for entry in document["laws"]:
        if entry["law"] == law:
            trusted = sum(row["trusted"] for row in gone)
            entry["seeds"] = ranges(seeds_of(entry) - {row["seed"] for row in gone})
            entry["fitted"] -= len(gone)
            entry["misses"] -= len(gone)
            entry["trusted"] -= trusted
            entry["trusted_misses"] -= trusted
    return [row["seed"] for row in gone]


def write(path: Path, document: dict[str, Any]) -> None:
    """Replace the file as a whole, so that a run that is stopped leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(document, indent=1) + "\n")
    beside.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=10, help="tables a law")
    parser.add_argument("--first", type=int, default=0, help="number of the first table")
    parser.add_argument("--laws", nargs="*", default=sf.laws.names(), choices=sf.laws.names())
    parser.add_argument("--again", action="store_true", help="only the misses on file, after a change of the fit")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    for law in arguments.laws:
        document = read(arguments.output)
        known = next((seeds_of(entry) for entry in document["laws"] if entry["law"] == law), set())
        wanted = range(arguments.first, arguments.first + arguments.tables)
        todo = forget_misses(document, law) if arguments.again else [seed for seed in wanted if seed not in known]
        rows: list[dict[str, Any]] = []
        for k, seed in enumerate(todo):
            rows.append(one(law, seed))
            if rows[-1].get("miss"):
                print("   ", {k: v for k, v in rows[-1].items() if k not in ("law", "miss", "lower")}, flush=True)
            if not arguments.again and k % AT_ONCE == AT_ONCE - 1:
                add(document, rows)
                write(arguments.output, document)
        add(document, rows)
        write(arguments.output, document)
        entry = next((entry for entry in document["laws"] if entry["law"] == law), None)
        if entry is not None and rows:
            spent = [sum(row.get(key, 0) for row in rows) / len(rows) for key in ("fit_seconds", "seconds")]
            counts = ", ".join(f"{entry[key]} {key.replace('_', ' ')}" for key in COUNTS)
            print(f"{law:28} {counts}; {1e3 * spent[0]:.0f} of {1e3 * spent[1]:.0f} ms for the fit", flush=True)


if __name__ == "__main__":
    main()

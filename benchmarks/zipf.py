"""Facts under Zipf's law: linear memories against their exact predictions, and the tied law against loss tables.

Stores are filled with facts and their error is held against `memory.predict_store` and against the exact mass beyond
the capacity. The laws `zipf_memory*`, with one exponent a for N and D, are fitted beside Chinchilla's to every series
of the forecast tables, in sample and on held-out larger runs. Writes results/zipf.json:

    SCALEFIT_DATA_DIR=... python benchmarks/zipf.py [stores] [laws]
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from forecast_tables import balance_weights, fingerprint, read_series, read_splits

import scalefit as sf
from scalefit import memory

OUT = Path(__file__).parent / "results" / "zipf.json"
TIED = "chinchilla, alpha = beta"  # the control: another tie, with no theory behind it
LAWS = ("chinchilla", TIED, "zipf_memory", "zipf_memory_width", "zipf_memory_sequences")
EXPONENTS = (1.2, 1.5, 2.0)
#: The set-up of the authors' code: n 1000, m 5, alpha 2, thirty draws.
AUTHORS = (1000, 2.0, 5, (35, 70, 123, 250, 500, 1000), 30)


def slope(sizes: Any, errors: Any) -> float:
    """Return -d log(error) / d log(size), by least squares."""
    return -float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def store_row(facts: memory.ZipfFacts, widths: tuple[int, ...], store: str, draws: int) -> dict[str, Any]:
    """Measure a store over widths and predict it."""
    measured = [memory.measure_store(facts, d, store, draws=draws, seed=d) for d in widths]
    errors = [one.error for one in measured]
    row: dict[str, Any] = {
        "store": store, "n_keys": facts.n_keys, "n_values": facts.n_values, "zipf": facts.exponent, "draws": draws,
        "widths": widths, "errors": errors, "standard_errors": [one.standard_error for one in measured],
        "slope": slope(widths, errors),
    }  # fmt: skip
    if store == "trained":
        exact = facts.guess * facts.tail(np.floor(memory.storable_facts(np.array(widths, float))))
        row["asymptotic"] = memory.zipf_exponents(facts.exponent).width
        row["capacities"] = list(facts.capacity(errors))
    else:
        exact = memory.predict_store(facts, widths, store)
        row["asymptotic"] = {
            "thresholded": facts.exponent - 1, "weighted": (facts.exponent - 1) / (2 * facts.exponent), "all": None
        }[store]  # fmt: skip
    row["predicted"], row["predicted_slope"] = list(exact), slope(widths, exact)
    return row


def stores() -> list[dict[str, Any]]:
    n_keys, a, n_values, widths, draws = AUTHORS
    facts = memory.ZipfFacts(n_keys, a, n_values)
    rows = [store_row(facts, widths, store, draws) for store in ("thresholded", "weighted", "all")]
    for a in EXPONENTS:
        for n_values in (5, 64):
            facts = memory.ZipfFacts(4096, a, n_values)
            for store in ("thresholded", "weighted", "all"):
                rows.append(store_row(facts, (16, 32, 64, 128, 256), store, 6))
        rows.append(store_row(memory.ZipfFacts(4096, a, 64), (8, 16, 32, 64), "trained", 1))
        print(a, "stores measured", flush=True)
    return rows


def tied(params: Any) -> dict[str, float]:
    """What Chinchilla's two exponents ask of the theory: a from D, and the power of N in the facts that fit."""
    a = 1.0 / (1.0 - params["beta"]) if params["beta"] < 1 else float("inf")
    return {"zipf_from_beta": a, "power": params["alpha"] / (a - 1.0)}


def relative(result: Any, runs: pd.DataFrame) -> Any:
    predicted = result.predict(**{key: runs[key].to_numpy(float) for key in result.law.inputs})
    return np.asarray(predicted) / runs["loss"].to_numpy() - 1.0


def fitted(runs: pd.DataFrame, law: str) -> Any:
    try:
        if law == TIED:
            return sf.fit(runs[["N", "D", "loss"]], "chinchilla", tied={"beta": "alpha"})
        return sf.fit(runs[["N", "D", "loss"]], law)
    except sf.FitError as error:
        return str(error)


def in_sample() -> list[dict[str, Any]]:
    rows = []
    for table, series, runs in read_series():
        if table == "chinchilla":  # the authors leave out the five highest losses
            runs = runs.sort_values("loss").head(240)
        for law in LAWS:
            result = fitted(runs, law)
            row: dict[str, Any] = {"table": table, "series": series, "n": len(runs), "law": law}
            if isinstance(result, str):
                rows.append(row | {"refused": result})
                continue
            row |= {"params": result.params.to_dict(), "trusted": bool(result.trusted)}
            row |= {"rms": float(np.sqrt((relative(result, runs) ** 2).mean())), "objective": result.objective_value}
            if law == "chinchilla":
                row |= tied(result.params)
            rows.append(row)
    return rows


def held_out() -> dict[str, Any]:
    """Mean relative error [%] on larger runs by table, on the splits that every law can be fitted to."""
    parts, skipped = [], 0
    for split in read_splits():
        results = {law: fitted(split.train, law) for law in LAWS}
        if any(isinstance(result, str) for result in results.values()):
            skipped += 1
            continue
        part = split.test[["loss"]].assign(table=split.table, series=split.series, cut=split.cut)
        for law, result in results.items():
            part[law] = 100 * np.abs(relative(result, split.test))
        parts.append(part)
    rows = pd.concat(parts, ignore_index=True)
    weights = balance_weights(rows)
    tables = {
        table: {law: float(np.average(part[law], weights=weights[part.index])) for law in LAWS}
        for table, part in rows.groupby("table")
    }
    overall = {law: float(np.mean([found[law] for found in tables.values()])) for law in LAWS}
    return {"splits": len(parts), "skipped": skipped, "runs": len(rows), "tables": tables, "overall": overall}


def rounded(value: Any) -> Any:
    """Keep six digits: the last ones are the machine's."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def main() -> None:
    wanted = sys.argv[1:] or ["stores", "laws"]
    document = json.loads(OUT.read_text()) if OUT.exists() else {}
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.ScalefitWarning)
        if "stores" in wanted:
            document["stores"] = stores()
        if "laws" in wanted:
            document |= {"in_sample": in_sample(), "held_out": held_out(), "files": fingerprint()}
    document["python"] = sys.version.split()[0]
    OUT.write_text(json.dumps(rounded(document), indent=1) + "\n")
    print(f"{time.process_time() - started:.0f} CPU s; wrote {OUT}")


if __name__ == "__main__":
    main()

"""CPU seconds of what people wait for, as JSON: run by benchmarks/fit.py, once for each of two checkouts.

python benchmarks/fit_parts.py          # whichever scalefit PYTHONPATH finds
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf

TRUTH = sf.published("chinchilla", "besiroglu2024")
#: Refits timed; what is printed is scaled to 4,000.
REFITS, OF = 500, 4_000


def table(n: int, seed: int = 0) -> pd.DataFrame:
    """Runs about compute-optimal sizes from 1e18 to 1e21 FLOP, with noise of Student's t, 0.4 %."""
    rng = np.random.default_rng(seed)
    C = 10 ** rng.uniform(18, 21, n)
    N = 0.09 * C**0.51 * 10 ** rng.uniform(-0.5, 0.5, n)
    loss = TRUTH.predict(N=N, D=C / 6 / N) * np.exp(0.004 * rng.standard_t(4, n) / np.sqrt(2))
    return pd.DataFrame({"N": N, "D": C / 6 / N, "loss": loss})


def series(k: int) -> pd.DataFrame:
    return pd.concat([table(30, s).assign(series=f"s{s}") for s in range(k)], ignore_index=True)


def kernel() -> None:
    """A fixed amount of numpy: what a processor makes of exponentials and small products."""
    x = np.linspace(0, 1, 240 * 96).reshape(96, 240)
    for _ in range(60):
        np.exp(x)
        x @ x.T


def spent(work: Callable[[], Any], repeat: int) -> float:
    work()
    start = time.process_time()
    for _ in range(repeat):
        work()
    return (time.process_time() - start) / repeat


def main() -> None:
    warnings.simplefilter("ignore")
    runs, few = table(240), table(34)
    out = {"a fixed numpy kernel": spent(kernel, 10)}
    out["sf.fit, 240 runs"] = spent(lambda: sf.fit(runs), 10)
    out["sf.fit, 34 runs"] = spent(lambda: sf.fit(few), 10)
    out["sf.fit, 34 runs, squares"] = spent(lambda: sf.fit(few, objective="squared"), 10)
    for law, n in (("chinchilla", 12), ("chinchilla", 30), ("chinchilla", 240), ("chinchilla", 1_000),
                   ("kaplan", 240), ("coupled", 240)):  # fmt: skip
        result = sf.fit(table(n), law)
        start = time.process_time()
        result.bootstrap(REFITS, seed=0)
        out[f"4,000 refits, {law}, {n:,} runs"] = (time.process_time() - start) * OF / REFITS
    for k in (10, 50):
        data = series(k)
        start = time.process_time()
        sf.fit(data, by="shared")
        out[f'by="shared", {k} series of 30 runs'] = time.process_time() - start
    start = time.process_time()
    sf.report(few)
    out["sf.report, 34 runs"] = time.process_time() - start
    points = np.random.default_rng(0).standard_normal((20_000, 8))
    start = time.process_time()
    sf.memory.separation(points)
    out["separation of 20,000 patterns of 8 dimensions"] = time.process_time() - start
    print(json.dumps(out))


if __name__ == "__main__":
    main()

"""A table of runs on budgets, some with hostile names."""

from __future__ import annotations

import numpy as np
import pandas as pd

import scalefit as sf

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>document.title='owned'</script>",
    "<svg/onload=alert(2)>",
    '"><b>bold</b>',
    "'; alert(3); //",
    "\u2028 & ünïcödé ${alert(4)} `x`",
)


def grid(n_budgets: int = 10, per_budget: int = 24, noise: float = 0.004, seed: int = 0) -> pd.DataFrame:
    """Runs on budgets under a published law, with noise."""
    C, share = np.meshgrid(np.geomspace(1e18, 3e21, n_budgets), np.geomspace(0.12, 8, per_budget), indexing="ij")
    N = (share * 0.09 * C**0.5).ravel()
    D = C.ravel() / (6 * N)
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    loss = loss * np.exp(np.random.default_rng(seed).normal(0, noise, N.size))
    names = [HOSTILE[i] if i < len(HOSTILE) else f"run {i}" for i in range(N.size)]
    return pd.DataFrame({"run": names, "N": N, "D": D, "loss": loss})

"""Runs made from a published law."""

import numpy as np
import pandas as pd

import scalefit as sf


def grid(budgets=(1e18, 1e19, 1e20, 1e21), width=6.0, n=11, shift=1.0, noise=0.0, seed=0, law=None):
    """An isoFLOP table: sizes spread by `width` either side of about the optimum, moved by `shift`."""
    law = law or sf.published("chinchilla", "besiroglu2024")
    C, share = np.meshgrid(budgets, np.geomspace(1 / width, width, n) * shift, indexing="ij")
    N = (share * 0.0478 * C**0.5126).ravel()
    C = C.ravel()
    D = C / (6 * N)
    rng = np.random.default_rng(seed)
    loss = law.predict(N=N, D=D) * np.exp(noise * rng.standard_normal(N.size))
    return pd.DataFrame({"N": N, "D": D, "C": C, "loss": loss})

"""Tables with known truth, for the tests of fits."""

from __future__ import annotations

import numpy as np
import pandas as pd

import scalefit as sf


def simulate(n=60, noise=0.005, seed=0, law="chinchilla", key="besiroglu2024"):
    """A table from a published law with Gaussian noise on the log loss."""
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9, 11.5, n)
    loss = sf.published(law, key).predict(N=N, D=D) * np.exp(noise * rng.standard_normal(n))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})

"""Tables for the fits."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


@pytest.fixture(scope="session")
def hoffmann245(external_data):
    """Epoch's reconstruction of figure 4 of Hoffmann et al. (2022), all 245 points."""
    d = pd.read_csv(external_data / "chinchilla_epoch" / "svg_extracted_data.csv")
    size, flop = d["Model Size"], d["Training FLOP"]
    return pd.DataFrame({"N": size, "C": flop, "D": flop / 6 / size, "loss": d["loss"]})


@pytest.fixture(scope="session")
def hoffmann240(hoffmann245):
    """The 240 points that Besiroglu et al. fit: the 5 highest losses dropped."""
    return hoffmann245.sort_values("loss").iloc[:-5]


def simulate(n=60, noise=0.005, seed=0, law="chinchilla", key="besiroglu2024"):
    """A table from a published law with Gaussian noise on the log loss."""
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9, 11.5, n)
    loss = sf.published(law, key).predict(N=N, D=D) * np.exp(noise * rng.standard_normal(n))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


@pytest.fixture
def runs():
    return simulate()

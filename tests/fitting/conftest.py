"""Tables for the fits."""

import pandas as pd
import pytest
from simulated import simulate


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


@pytest.fixture
def runs():
    return simulate()

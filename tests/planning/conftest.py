"""Tables for the plans."""

import pandas as pd
import pytest
from made_runs import grid

import scalefit as sf


@pytest.fixture(scope="session")
def hoffmann240(external_data):
    """The 240 points that Besiroglu et al. fit: the 5 highest losses dropped."""
    d = pd.read_csv(external_data / "chinchilla_epoch" / "svg_extracted_data.csv")
    size, flop = d["Model Size"], d["Training FLOP"]
    table = pd.DataFrame({"N": size, "C": flop, "D": flop / 6 / size, "loss": d["loss"]})
    return table.sort_values("loss").iloc[:-5]


@pytest.fixture(scope="session")
def huber240(hoffmann240):
    return sf.fit(hoffmann240).bootstrap(400, seed=1)


@pytest.fixture(scope="session")
def porian(external_data):
    """IsoFLOP points of Porian et al. (2024), RefinedWeb, every counting convention."""
    d = pd.read_csv(external_data / "porian" / "porian_isoflop_points.csv")
    return d.rename(columns={"n": "N", "tokens": "D", "flops": "C"})


@pytest.fixture(scope="session")
def small_fit():
    """A fit to a noisy isoFLOP table."""
    return sf.fit(grid(noise=0.003)).bootstrap(200, seed=0)

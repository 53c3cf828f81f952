"""Reproduce the intervals of Besiroglu et al. (2024), arXiv:2404.10102, from the same 4,000 resamples.

Needs the points of Epoch's reconstruction: the folder named by SCALEFIT_DATA_DIR, or the network.
"""

import numpy as np

import scalefit as sf

PUBLISHED = {"E": (1.769, 1.871), "alpha": (0.317, 0.373), "beta": (0.331, 0.415)}

runs = sf.load_dataset("chinchilla_epoch", drop="authors")
result = sf.fit(runs, "chinchilla", objective="huber", delta=1e-3)
print(f"{result.n_runs} runs, objective {result.objective_value:.16g}")

interval = result.bootstrap(n=4000, seed=np.random.RandomState(42)).conf_int(level=0.95)
for name, (low, high) in PUBLISHED.items():
    mine = interval.loc[name]
    print(f"{name:6} {mine.lower:.4f} to {mine.upper:.4f}   published {low} to {high}")
    assert abs(mine.lower - low) < 1e-3 and abs(mine.upper - high) < 1e-3

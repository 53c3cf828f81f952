"""Train a few tiny models, fit them, let the fit choose the next ones, train those, and fit again.

Needs the extra: pip install 'scalefit-lm[train]'. A minute on one core; nothing is downloaded.
"""

import tempfile

import pandas as pd
import torch

import scalefit as sf
from scalefit.training import CorpusConfig, SweepConfig, sweep
from scalefit.training.config import EvaluationConfig, OptimizerConfig
from scalefit.training.sweeps.grid import LearningRateConfig

torch.set_num_threads(1)
settings = dict(
    corpus=CorpusConfig(source="markov", n_states=32, branching=4, n_tokens=400_000),
    lr=LearningRateConfig(grid=(1e-2,)),
    optimizer=OptimizerConfig(batch_size=8),
    evaluation=EvaluationConfig(tokens=5_000, curve_points=0),
)
store = tempfile.mkdtemp()

grid = pd.DataFrame([(n, d) for n in (2e3, 6e3, 2e4) for d in (1e4, 3e4, 1e5)], columns=["N", "D"])
runs = sweep(SweepConfig.from_table(grid, name="first", **settings), store)
result = sf.fit(runs, "chinchilla")
print(result)

wanted = sf.next_runs(result, budget=2e10, n_runs=2)
print("\nnext:\n", wanted.to_string(index=False), sep="")
more = sweep(SweepConfig.from_table(wanted, name="next", **settings), store)
again = sf.fit(pd.concat([runs, more]), "chinchilla")
print(f"\nE {result.params.E:.3f} -> {again.params.E:.3f}; the source's entropy is {runs['H_data'].iloc[0]:.3f}")

"""Audit Proposition 3 of Niu et al. (2024), arXiv:2405.08707: as printed it fails, corrected it holds."""

import numpy as np

import scalefit as sf

rng = np.random.default_rng(0)
trials, failed = 2000, {"paper": 0, "exact": 0}
for _ in range(trials):
    patterns = rng.standard_normal((rng.integers(2, 8), rng.integers(1, 5))) * rng.uniform(0.2, 2.0)
    x = rng.standard_normal(patterns.shape[1]) * rng.uniform(0.2, 2.0)
    for convention in failed:
        failed[convention] += not bool(sf.memory.proposition_3(patterns, x, convention=convention).holds)

print(f"as printed: fails in {failed['paper']} of {trials} random trials ({failed['paper'] / trials:.0%})")
print(f"corrected:  fails in {failed['exact']}")
assert failed["paper"] > 0 and failed["exact"] == 0

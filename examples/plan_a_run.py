"""From a fitted law to the run to make: for a budget, for a target, for a model that will serve, on scarce data."""

import numpy as np

import scalefit as sf

rng = np.random.default_rng(0)
N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 3e9, 7), np.geomspace(1e9, 1e11, 7)))
loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D) * np.exp(0.003 * rng.standard_normal(N.size))
result = sf.fit({"N": N, "D": D, "loss": loss}, "chinchilla").bootstrap(n=500, seed=0)

print("a budget of 1e22 FLOP\n", sf.plan(result, C=1e22), "\n", sep="")
print("a loss of 2.2\n", sf.plan(result, loss=2.2), "\n", sep="")

serving = sf.plan(result, loss=2.2, inference_tokens=1e13)
print(f"the same loss, and 1e13 tokens to serve: N {serving.N:.3g} on {serving.D:.3g} tokens")

scarce = sf.plan(result, C=1e22, unique_tokens=2e10)
print(f"1e22 FLOP and 20B unique tokens: N {scarce.N:.3g} on {scarce.D:.3g} tokens, loss {scarce.loss:.3f}")

print("\nthe runs that would tighten the first answer most, for 1e20 FLOP:")
print(sf.next_runs(result, budget=1e20, C=1e22).to_string(index=False))

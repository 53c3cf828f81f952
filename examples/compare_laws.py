"""Which law forecasts your larger runs best? Fit each on the cheap runs, score it on the expensive ones.

Uses the project's own ladder of models trained on a source whose entropy is known.
"""

import scalefit as sf

runs = sf.load_dataset("scalefit_cpu")
runs = runs[runs["series"] == "markov"]

table = sf.compare(runs, ["chinchilla", "kaplan", "coupled", "over_training"], holdout="largest_C")
print(table[["law", "rmse", "bias", "coverage", "weight"]].round(4).to_string(index=False))
print(table.attrs["verdict"])

best = sf.fit(runs, str(table["law"].iloc[0]))
print(
    f"\n{best.law}: E = {best.params.get('E', 0.0):.3f} nat/token; the source's entropy is {runs['H_data'].iloc[0]:.3f}"
)

"""Fit, look, save, and be refused where a table does not identify a law; ``make demo`` writes to ``demo/``."""

import textwrap
from pathlib import Path

import pandas as pd

import scalefit as sf

OUT = Path("demo")


def heading(text: str) -> None:
    print(f"\n{'=' * len(text)}\n{text}\n{'=' * len(text)}\n")


def fit_and_keep(runs: pd.DataFrame, law: str, name: str, **options: object) -> sf.FitResult:
    print(result := sf.fit(runs, law, **options))
    result.to_json(OUT / f"{name}.json"), result.plot(OUT / f"{name}.png")
    return result


OUT.mkdir(exist_ok=True)
heading("A law in N and D: small models that scalefit's own harness trained on a CPU")
own = sf.load_dataset("scalefit_cpu")
for name, runs in own[own["kind"] == "branch"].groupby("series"):
    print(f"\nCorpus: {name}\n")
    fit_and_keep(runs, "chinchilla", f"scalefit_cpu_{name}")
print(f"\nThe entropy of the Markov source is known, {own['H_data'].max():.4f} nat/token: what E should be there.")

reported = sf.load_dataset("reported_losses", drop="doubtful")
series = dict(iter(reported.groupby("series")))
small = {name: runs[runs["N"] < 3e9] for name, runs in series.items()}  # the larger ones are kept aside

heading("A power law in N: six Pythia models, 70M to 2.8B, 300B tokens each")
pythia = fit_and_keep(small["pythia"], "power_law:N", "pythia")
print("\nWhat a 6.9B model of that series would reach, with a 90 % interval, and what was measured:")
found = pythia.predict_interval(N=6.9e9)[["loss", "lower", "upper"]].round(3)
print(found.assign(measured=series["pythia"].set_index("name").loc["Pythia-6.9B", "loss"]).to_string(index=False))
print("A miss: six runs of one family share what the law's form gets wrong, and their scatter cannot show it.")

heading("A power law in C: five Cerebras-GPT models, 111M to 2.7B, 20 tokens per parameter")
print("These five runs are too few to show a floor: with E free they put it at zero. So E is fixed at 0.\n")
fit_and_keep(small["cerebras-gpt"], "power_law:C", "cerebras_gpt", fixed={"E": 0.0})

heading("A law in N and D together: refused on these tables, with the reason")
for what, runs, options in (
    ("Pythia", small["pythia"], {}),
    ("Pythia, both series pooled", pd.concat([small["pythia"], small["pythia-deduped"]]), {"by": "pool"}),
    ("Cerebras-GPT, both series pooled", reported[reported["series"].str.startswith("cerebras")], {"by": "pool"}),
    ("everything", reported.dropna(subset=["N", "D"]), {}),
):
    try:
        sf.fit(runs, "chinchilla", **options)
    except sf.FitError as reason:
        print(textwrap.fill(f"{what}: {reason}", 110, subsequent_indent="    "))
    else:
        raise SystemExit(f"{what} was fitted, and should have been refused")
print(f"\nFigures and results are in {OUT}/.")

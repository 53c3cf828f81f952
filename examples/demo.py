"""The main job on tables that come with scalefit: fit, look, save, and be refused where a table cannot bear a law.

Run with ``make demo``; writes figures and results to ``demo/``.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pandas as pd

import scalefit as sf

OUT = Path("demo")


def main() -> None:
    OUT.mkdir(exist_ok=True)
    if "scalefit_cpu" in sf.list_datasets().index:
        heading("A law in N and D: small models that scalefit's own harness trained on a CPU")
        own = sf.load_dataset("scalefit_cpu")
        for name, runs in own[own["kind"] == "branch"].groupby("series"):
            print(f"\nCorpus: {name}\n")
            fit_and_keep(runs, "chinchilla", f"scalefit_cpu_{name}")
        entropy = own["H_data"].dropna().iloc[0]
        print(f"\nThe entropy of the Markov source is known, {entropy:.4f} nat/token: what E should be there.")

    reported = sf.load_dataset("reported_losses", drop="doubtful")
    series = {name: runs for name, runs in reported.groupby("series")}
    print(f"\n{len(reported)} losses that papers, model cards and public logs report, in {len(series)} series.")

    heading("A power law in N: six Pythia models, 70M to 2.8B, 300B tokens each")
    pythia = fit_and_keep(series["pythia"], "power_law:N", "pythia")
    print("\nWhat a 6.9B model of that series would reach, with a 90 % interval:")
    print(
        pythia.predict_interval(N=6.9e9, D=3e11, level=0.9)[["loss", "lower", "upper"]].round(3).to_string(index=False)
    )

    heading("A power law in C: five Cerebras-GPT models, 111M to 2.7B, 20 tokens a parameter")
    print("With E free these five runs put it at zero: they are too few to show a floor. So E is fixed at 0.\n")
    fit_and_keep(series["cerebras-gpt"], "power_law:C", "cerebras_gpt", fixed={"E": 0.0})

    heading("A law in N and D together: refused on these tables, with the reason")
    both_pythia = pd.concat([series["pythia"], series["pythia-deduped"]])
    both_cerebras = pd.concat([series["cerebras-gpt"], series["cerebras-gpt-mup"]])
    refused("Pythia", series["pythia"])
    refused("Pythia, both series pooled", both_pythia, by="pool")
    refused("Cerebras-GPT, both series pooled", both_cerebras, by="pool")
    refused("everything", reported)
    print(f"\nFigures and results are in {OUT}/.")


def fit_and_keep(runs: pd.DataFrame, law: str, name: str, **options: object) -> sf.FitResult:
    result = sf.fit(runs, law, **options)
    print(result)
    result.to_json(OUT / f"{name}.json")
    result.plot(OUT / f"{name}.png")
    return result


def refused(what: str, runs: pd.DataFrame, **options: object) -> None:
    try:
        sf.fit(runs, "chinchilla", **options)
    except sf.FitError as reason:
        print(textwrap.fill(f"{what}: {reason}", 110, subsequent_indent="    "))
    else:
        raise SystemExit(f"{what} was fitted, and should have been refused")


def heading(text: str) -> None:
    print(f"\n{'=' * len(text)}\n{text}\n{'=' * len(text)}\n")


if __name__ == "__main__":
    main()

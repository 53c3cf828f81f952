"""The main job on tables that come with scalefit: fit, look, save, and be refused where a table cannot bear a law.

Run with ``make demo``; writes figures and results to ``demo/``.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd

import scalefit as sf

OUT = Path("demo")


def main() -> None:
    OUT.mkdir(exist_ok=True)
    if "scalefit_cpu" in sf.list_datasets().index:
        heading("A law in N and D, fitted to runs that scalefit's own harness made")
        fit_and_keep(sf.load_dataset("scalefit_cpu"), "chinchilla", "scalefit_cpu")

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
    draw(result, runs, OUT / f"{name}.png")
    return result


def draw(result: sf.FitResult, runs: pd.DataFrame, path: Path) -> None:
    """Draw losses against the law's one input, or against compute where it has two, with 90 % intervals."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    inputs = result.law.inputs
    across = inputs[0] if len(inputs) == 1 else "C"
    runs = runs.sort_values(across)
    figure, ax = plt.subplots(figsize=(6, 4))
    if len(inputs) == 1:
        grid = {across: np.geomspace(runs[across].min() / 2, runs[across].max() * 2.5, 60)}
        band = result.predict_interval(level=0.9, **grid)
        ax.fill_between(grid[across], band["lower"], band["upper"], alpha=0.25, label="90 % interval of a new run")
        ax.plot(grid[across], band["loss"], label=result.law.formula)
    else:
        ax.plot(runs[across], result.predict(**{key: runs[key].to_numpy() for key in inputs}), "x", label="the law")
    ax.plot(runs[across], runs["loss"], "ko", label="runs")
    unit = {"N": "parameters", "D": "tokens", "C": "FLOP"}[across]
    ax.set(xscale="log", xlabel=f"{across} [{unit}]", ylabel="loss [nat/token]")
    ax.legend(frameon=False)
    figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(figure)


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

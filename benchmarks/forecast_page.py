"""docs/forecast.md, from benchmarks/results/forecast.json."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from forecast_tables import FRESH

OURS = "sf.forecast"

HEAD = """# Forecasting larger runs

`sf.forecast(runs)` predicts the loss of a run larger than any in the table, with an interval made of three parts:

```python
import numpy as np
import scalefit as sf

N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 1e9, 5), np.geomspace(2e9, 4e10, 5)))
loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
forecast = sf.forecast({"N": N, "D": D, "loss": loss})
table = forecast.predict_interval(N=7e9, D=2e11, level=0.9)
assert list(table) == ["loss", "lower", "upper", "se_parameter", "se_law", "se_noise"]
```

On the command line: `scalefit forecast runs.csv --at N=7e9,D=2e11`.

## How it works

1. **The law** is the coupled law, L = E + (A N^(-alpha/g) + B D^(-beta/g))^g: Chinchilla's law at g = 1, Kaplan's at
   E = 0 and beta = g. On most public tables g is between 0.2 and 0.9.
2. **A prior** over (E, alpha, beta, g), learned from the fits of eleven public sources. If the loss is not in
   nat/token, or is below every floor that the prior covers, the prior on E is dropped, and a note says so. If all
   models
   are smaller than those of the sources, a note warns that the intervals may be too narrow, as they were for
   [our own small runs](validation.md) on text.
3. **Correlated errors.** A law is wrong by similar amounts for neighbouring runs. So the log loss is modelled as the
law
   plus a smooth discrepancy (a Gaussian process over ln N and ln D) plus noise. Runs far above the compute frontier and
   runs of little compute get a larger error variance. A hundred small runs then cannot outvote a few large ones, and
   the
   forecast is corrected by the residuals of the largest runs. The frontier ignores bad runs (far below a first fit) and
   allows for lucky ones (using the noise of the table). Runs whose residual is six times the usual one hardly count,
   and
   the note `outliers` names them.
4. **Intervals** add three parts in quadrature: the law's parameters, its form (the discrepancy that the runs leave
   undetermined, at least floor + growth ln(C/C_max)), and noise, estimated from the table itself. Among the runs the
   discrepancy is no larger than these runs show, and noise that is the same for every run counts as such where the runs
   say so. Beyond them the width grows with the scatter of the runs around the forecast and with the law's systematic
   error; the part set by the prior is not widened.
   A factor that makes 90 % intervals cover 90 % was learned on forecasts of other tables. Beyond the runs the
   middle of an interval is the mean of the posterior, which lies above its mode, the forecast: a loss has a floor, so
   it can disappoint by more than it can please.

If all runs have the same ratio of tokens to parameters, a law of compute replaces the coupled law; `forecast.reason`
says
why. Tables with one budget, one size, or fewer than four runs are refused. Compute means what the table means by it:
the
convention it states, its column `C`, or 6ND. `forecast.at(unique_tokens=1e10)` is the same forecast for runs with that
many unique tokens.

## Which law to use

`sf.compare` fits each law to some of the runs and scores it on the others; `"forecast"` can take part too:

```python
table = sf.compare({"N": N, "D": D, "loss": loss}, ["chinchilla", "kaplan", "forecast"], holdout="k-fold")
print(table.attrs["verdict"])
blend = sf.average([sf.fit({"N": N, "D": D, "loss": loss}, law) for law in ("chinchilla", "kaplan")])
```

Holdouts are `largest_C` (train up to C_max / 3, / 10, / 30), `k-fold`, `leave-one-budget-out` and `rolling`. Laws
within two
standard errors of the best are "too close to call". `weight` is the stacking weight for `sf.average`; an average can
beat
each of its laws, but a wrong law can make it worse. Any fit takes priors and weights:
`sf.fit(runs, "coupled", weights="C^0.5", prior={"E": (1.7, 0.2)})`, or `weights="frontier"` to trust runs near the best
loss of their compute.

## Measured

Each method is trained on the runs of at most C_max / r, and tested on those with at least twice the compute of the
largest
training run. Scores are means over runs, then over splits, series and tables. **For each table, everything learned
comes
from other source projects**: the prior, the size of the discrepancy (of {n_candidates} candidates) and the
calibration. The losses of
llama3_isoflop are not per token, so the column of nats leaves them out. Made by `benchmarks/forecast.py`; the numbers
are in
`benchmarks/results/forecast.json`.
"""

TAIL = """
## Read before quoting

- We developed the method on the first eight tables and compared about forty variants on them, so differences of 0.1 %
  mean
  nothing. The four fresh tables came later, but the rule for the width was chosen with all twelve in view (about fifty
  variants).
- The splits of one table are nested, and some test cells contain a single run.
- The size of the discrepancy hardly matters: halving or doubling it changes the overall error by about 0.1 % or less
  (lab
  log, 2026-11-25).
- None of this tests mixtures of experts or the optimal N, and only one source tests repeated data.
"""


SIMULATED = Path(__file__).parent / "results" / "forecast_noise.json"
CAUSES = Path(__file__).parent / "results" / "forecast_causes.json"


def page(found: dict[str, Any]) -> str:
    """The page."""
    methods, intervals = found["methods"], found["intervals"]
    points = sorted((n for n in methods if n == OURS or n not in intervals), key=lambda n: -_percent(methods, n))
    bands = list(next(iter(methods.values()))["ratios"])
    text = HEAD.replace("{n_candidates}", str(len(found["candidates"])))
    text += "\n" + _takeaway(methods) + "\n### Point forecasts\n\n"
    text += _row("method", "nats", "%", "bias %", "worst %", *bands) + _row(*["---"] * (5 + len(bands)))
    for name in points:
        all_, by = methods[name]["overall"], methods[name]["ratios"]
        cells = [f"{all_['nats']:.3f}", f"{all_['percent']:.2f}", f"{all_['bias']:+.2f}", f"{all_['worst']:.0f}"]
        text += _row(f"**{name}**" if name == OURS else name, *cells, *(f"{by[band]['percent']:.2f}" for band in bands))
    tables = list(methods[OURS]["tables"])
    text += "\nError in percent, by table:\n\n" + _row("method", *tables) + _row(*["---"] * (1 + len(tables)))
    for name in points:
        part = methods[name]["tables"]
        text += _row(f"**{name}**" if name == OURS else name, *(f"{part[table]['percent']:.2f}" for table in tables))
    text += f"\n### Intervals, nominal {100 * found['level']:g} %\n\n"
    text += _row("interval", "coverage", "full width %", "interval score %") + _row(*["---"] * 4)
    for name in sorted(intervals, key=lambda n: -methods[n]["overall"]["interval_score"]):
        all_ = methods[name]["overall"]
        cells = (f"{all_['coverage']:.2f}", f"{all_['width']:.1f}", f"{all_['interval_score']:.1f}")
        text += _row(f"**{name}**" if name == OURS else name, *cells)
    text += (
        "\nThe interval score is the width plus 20 times the miss. `sf.forecast` by table and by ratio of compute:\n\n"
    )
    text += _row("", "runs", "error %", "bias %", "coverage", "width %", "interval score %") + _row(*["---"] * 7)
    for name, part in {**methods[OURS]["tables"], **methods[OURS]["ratios"]}.items():
        cells = (f"{part['percent']:.2f}", f"{part['bias']:+.2f}", f"{part['coverage']:.2f}", f"{part['width']:.1f}")
        text += _row(name, str(part["n_test"]), *cells, f"{part['interval_score']:.2f}")
    scores = {name: part["interval_score"] for name, part in methods[OURS]["tables"].items()}
    older, newer = ([scores[name] for name in scores if (name in FRESH) is fresh] for fresh in (False, True))
    text += (
        f"\nInterval score, geometric mean: {statistics.geometric_mean(older):.2f} % over the {len(older)} tables that"
        f" the method was developed on, {statistics.geometric_mean(newer):.2f} % over the {len(newer)} fresh ones.\n"
    )
    text += f"\nOne forecast with intervals took {found['cpu_seconds_per_forecast']:.2f} s of one core on average.\n"
    return text + _simulated() + _embeddings() + _repeats() + TAIL


def _simulated() -> str:
    """Intervals on tables of a known law, from results/forecast_noise.json."""
    rows = json.loads(SIMULATED.read_text(encoding="utf-8"))["rows"]
    noises = list(dict.fromkeys(row["noise"] for row in rows))
    short = [row for row in rows if row["held"] < 0.85]
    where = "; ".join(
        f"{row['held']:.2f} on {row['design']}, {row['where']}, at {row['noise']:.0%} (the note `scatter` warned of "
        f"{row['warned']:.0%} of these tables)"
        for row in short
    )
    text = (
        "\n### Simulated runs\n\nChinchilla's law, two published sets of constants, "
        f"{rows[0]['tables']} tables for each cell (`benchmarks/forecast_noise.py`). Share of new runs in the 90 % "
        "interval, with its full width. The law is exact here, so intervals that allow for a wrong law cover more than "
        f"they claim beyond the runs. Cells below .85: {where or 'none'}.\n\n"
    )
    text += _row("design", "new runs", *(f"noise {noise:.1%}" for noise in noises)) + _row(*["---"] * (2 + len(noises)))
    for design, place in dict.fromkeys((row["design"], row["where"]) for row in rows):
        some = {row["noise"]: row for row in rows if (row["design"], row["where"]) == (design, place)}
        text += _row(design, place, *(f"{some[n]['held']:.2f} ({some[n]['width']:.1%})" for n in noises))
    return text


def _embeddings() -> str:
    """Forecasts with embeddings counted in N and without, from results/forecast_causes.json."""
    rows = json.loads(CAUSES.read_text(encoding="utf-8"))["embeddings"]
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    helped = [(with_, without) for with_, without in pairs if without["error"] < 0.8 * with_["error"]]
    most = max(with_["share"] for with_, without in pairs if (with_, without) not in helped)
    least = min(with_["share"] for with_, _ in helped)
    text = (
        "\n### Embeddings counted in N\n\nWhere embeddings were "
        f"{least:.0%} or more of the median model, counting N without them cut the error by "
        f"{min(1 - b['error'] / a['error'] for a, b in helped):.0%} or more; up to {most:.0%} it changed little or "
        "made forecasts slightly worse. The note `embeddings_counted` names the column to pass "
        "(`benchmarks/forecast_causes.py`).\n\n"
    )
    text += _row(
        "table", "largest run over C_max", "embeddings", "error %", "without", "in the 90 % interval", "without"
    )
    text += _row(*["---"] * 7)
    for a, b in pairs:
        cells = (f"{a['share']:.0%}", f"{a['error']:.2f}", f"{b['error']:.2f}", f"{a['held']:.2f}", f"{b['held']:.2f}")
        text += _row(a["table"], f"{a['cut']:.0f}x", *cells)
    return text


def _repeats() -> str:
    """Runs that repeat their data, forecast from runs that hardly do, from results/forecast_causes.json."""
    bands = json.loads(CAUSES.read_text(encoding="utf-8"))["repeats"]["bands"]
    last = bands[-1]
    text = (
        "\n### Repeated tokens\n\nIf the table has a column `unique_tokens`, or a prediction is given it, the "
        "forecast counts effective tokens (Muennighoff et al. 2023). Its interval widens with the epochs and with "
        "the number of parameters per unique token. Measured on the C4 runs of datablations "
        "(`benchmarks/forecast_causes.py`): runs of many epochs, forecast from runs of few. The widening was learned "
        "on "
        'three of four groups of unique tokens and measured on the fourth ("left out"); the released version has '
        "learned from all four. "
        f"At {last['above']:g} to {last['up_to']:g} epochs the interval now covers {last['left']['held']:.0%} of the "
        "runs "
        f"({last['new']['held']:.0%} if repeated tokens count as new). That is still too few: large models memorise a "
        "small "
        "set of tokens there, which no law here predicts. The constant of the law was fitted to these runs by its "
        "authors. "
        "No interval reaches below that of as many new tokens; if it would reach up to e times the forecast, it has no "
        "upper end. A law of compute counts repeats too, with a wider interval, because at one ratio of D to N the "
        "effect of D "
        "is unknown.\n\n"
    )
    text += _row(
        "trained on", "epochs", "runs", "error %, as new", "error %", "covered, as new", "left out", "released"
    )
    text += _row(*["---"] * 8)
    for band in bands:
        cells = (f"{band['new']['error']:.1f}", f"{band['public']['error']:.1f}", f"{band['new']['held']:.2f}")
        held = (f"{band[how]['held']:.2f} (half-width {band[how]['half']:.1f}%)" for how in ("left", "public"))
        few = "one epoch" if band["trained_on"] < 2 else f"up to {band['trained_on']:g}"
        text += _row(few, f"{band['above']:g} to {band['up_to']:g}", str(band["runs"]), *cells, *held)
    return text


def _takeaway(methods: dict[str, Any]) -> str:
    """What the tables below say, in four lines."""
    ours = methods[OURS]["tables"]
    older = [part["percent"] for name, part in ours.items() if name not in FRESH]
    newer = [part["percent"] for name, part in ours.items() if name in FRESH]
    rival = min((name for name in methods if name != OURS), key=lambda name: _percent(methods, name))
    low = min(ours, key=lambda name: ours[name]["coverage"])
    return (
        f"**In short.** Over {len(ours)} tables the error of `sf.forecast` is {_percent(methods, OURS):.2f} % on "
        "average, that "
        f"of the next best method ({rival}) {_percent(methods, rival):.2f} %, and that of Chinchilla's law "
        f"{_percent(methods, 'chinchilla, Huber 1e-3'):.2f} %. On the eight tables that we developed the method on it "
        "is "
        f"{sum(older) / len(older):.2f} %, on the four fresh ones {sum(newer) / len(newer):.2f} %; quote the second. "
        f"The 90 % intervals contain {methods[OURS]['overall']['coverage']:.0%} of the test runs; the worst table is "
        f"{low}, with {ours[low]['coverage']:.0%}.\n"
    )


def write_page(found: dict[str, Any], target: Path) -> None:
    """Write the page."""
    target.write_text(page(found), encoding="utf-8")


def _percent(methods: dict[str, Any], name: str) -> float:
    return float(methods[name]["overall"]["percent"])


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |\n"


if __name__ == "__main__":
    root = Path(__file__).parent.parent
    saved = json.loads((root / "benchmarks" / "results" / "forecast.json").read_text(encoding="utf-8"))
    write_page(saved, root / "docs" / "forecast.md")

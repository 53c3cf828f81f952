"""Write the measured parts of README.md and of the pages in docs/ from the files in results/.

python benchmarks/measured_pages.py          # rewrite what stands between the markers of each page
python benchmarks/measured_pages.py --check  # exit 1 where a page does not show what was measured
"""

from __future__ import annotations

import json
import math
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zipf_page

HERE = Path(__file__).parent
ROOT = HERE.parent
START, END = "<!-- measured: {} -->\n", "<!-- end -->"
NAMES = {"isoflop": "iso-FLOP", "scatter": "scattered"}


def speed(document: dict[str, Any]) -> str:
    lines = ["| task | ours | against | ours [ms] | theirs [s] | ratio | goal | quality gate |", "|---" * 8 + "|"]
    remarks = []
    for row in document["rows"]:
        gate = f"{row['gate']}: {'passed' if row['passed'] else 'FAILED'}"
        times = f"{row['seconds'] * 1e3:.1f} | {row['baseline_seconds']:.0f}"
        cells = (row["task"], row["ours"], row["baseline"], times, f"{row['ratio']:,.0f}", f"{row['goal']:,}", gate)
        lines.append(f"| {' | '.join(cells)} |")
        remark = f"- {row['baseline']}: {row['remark']}."
        if "baseline_objective" in row:
            remark += f" Objective {row['objective']:.12f} against {row['baseline_objective']:.12f}."
        if remark not in remarks:
            remarks.append(remark)
    return "\n".join([*lines, "", *remarks]) + "\n"


def parts(document: dict[str, Any]) -> str:
    """What people wait for, beside an older version."""
    found = document["parts"]
    lines = ["| task | now [ms] | before [ms] | times as fast |", "|---" * 4 + "|"]
    for row in found["rows"]:
        lines.append(
            f"| {row['task']} | {1e3 * row['seconds']:.0f} | {1e3 * row['before_seconds']:.0f} | {row['ratio']:.1f} |"
        )
    rounds = "of one round" if found["rounds"] == 1 else f"medians of {found['rounds']} rounds"
    sentence = f"CPU time, {rounds} in which both took turns; before: {found['before']}."
    return "\n".join([*lines, "", sentence]) + "\n"


def _shares(cell: dict[str, Any], names: tuple[str, ...], target: tuple[float, float]) -> str:
    """Shares of a table's row, bold outside the target; a dash where nothing was counted."""
    low, high = target
    shown = []
    for name in names:
        share = cell[name]
        shown.append("–" if share is None else f"{share:.3f}" if low <= share <= high else f"**{share:.3f}**")
    return " | ".join(shown)


def narrow(document: dict[str, Any]) -> str:
    """Plans from tables whose sizes hardly differ."""
    lines = [
        "| N within, decades | tables | not known | N* | D* | loss as planned | width of ln N* |",
        "|---" * 7 + "|",
    ]
    for cell in document["cells"]:
        shares = _shares(cell, ("N", "D", "loss"), document["target"])
        width = "–" if cell["N_width"] is None else f"{cell['N_width']:.2f}"
        lines.append(f"| {cell['decades']:g} | {cell['tables']} | {cell['not_known']} | {shares} | {width} |")
    sentence = (
        f"{document['level']} claimed. Shares count only plans with known intervals; bold outside "
        f"{document['target']}. "
        f"Noise {100 * document['noise']:g} %, plans for {document['budget']:.0e} FLOP."
    )
    return "\n".join([*lines, "", *wrapped(sentence)]) + "\n"


def shared_noise(document: dict[str, Any]) -> str:
    """Intervals where runs share part of their noise."""
    names = ("E", "alpha", "beta", "inside", "beyond")
    lines = ["| design | noise shared by | E | alpha | beta | new run, mid-table | ten times beyond | found |"]
    lines.append("|---" * 8 + "|")
    for cell in document["cells"]:
        found = sum(cell["found"].values()) / cell["tables"]
        lines.append(f"| {cell['design']} | {cell['by']} | {_shares(cell, names, document['target'])} | {found:.2f} |")
    tables = document["cells"][0]["tables"]
    sentence = (
        f"{tables} tables per row, {document['level']} claimed, bold outside {document['target']}; the counting error "
        "of "
        f'a share is {(0.09 / tables) ** 0.5:.3f}. "Found": the share of tables in which shared noise was detected '
        "(falsely "
        "in the rows with none)."
    )
    return "\n".join([*lines, "", *wrapped(sentence)]) + "\n"


def falling_noise(document: dict[str, Any]) -> str:
    """Intervals of new runs where noise goes with compute."""
    names = ("smallest", "middle", "largest", "beyond")
    lines = ["| design | runs | noise goes as | smallest C | middle | largest | ten times beyond | found |"]
    lines.append("|---" * 8 + "|")
    for cell in document["cells"]:
        shares = _shares(cell, names, document["target"])
        power = "C^0" if not cell["power"] else f"C^{cell['power']:g}"
        lines.append(f"| {cell['design']} | {cell['runs']} | {power} | {shares} | {cell['found']:.2f} |")
    tables = document["cells"][0]["tables"]
    sentence = (
        f"{tables} tables per row, {document['level']} claimed, bold outside {document['target']}; the counting error "
        "of "
        f"a share is {(0.09 / tables) ** 0.5:.3f}."
    )
    return "\n".join([*lines, "", *wrapped(sentence)]) + "\n"


def optimum(document: dict[str, Any]) -> str:
    """Fits against an independent search."""
    heads = ("law", "tables", "trusted", "misses", "of them trusted", "refused", "the other search misses")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    keys = ("law", "fitted", "trusted", "misses", "trusted_misses", "refused", "other_search_misses")
    lines += [f"| {' | '.join(str(row[key]) for key in keys)} |" for row in document["laws"]]
    tables, missed, trusted = (
        sum(row[key] for row in document["laws"]) for key in ("fitted", "misses", "trusted_misses")
    )
    of = f"{tables} tables of {len(document['laws'])} laws"
    worst = sorted((row for row in document["misses"] if row["trusted"]), key=lambda row: -row["ratio"])
    named = ", ".join(f"{row['law']} {100 * (row['ratio'] - 1):.2g} %" for row in worst)
    believed = sum(row["trusted"] for row in document["laws"])
    sentence = (
        f"{of}, {believed} of the fits trusted: {missed or 'no'} misses, {trusted or 'none'} of them trusted"
        f"{f' ({named} above)' if named else ''}. "
        f"The other search used {document['starts']} starts; a miss is an objective higher than the other search's by "
        "more "
        f"than {document['tolerance']:.0e} (relative); objectives that differ by less than {document['same']:.0e} "
        "count as "
        "equal."
    )
    return "\n".join([*lines, "", *wrapped(sentence)]) + "\n"


def law_tables(document: dict[str, Any]) -> str:
    """Laws fitted to public tables."""
    heads = ("law", "table", "runs", "from published", "held out", "time", "starts that agree")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in document["tables"]:
        far = "" if row["largest_distance"] is None else f"{row['largest_distance']:.1f} se"
        held = "" if row["held_out"] is None else f"{100 * row['held_out']:.2f} %"
        held += "" if row["relative_to"] == "the target" or not held else " of sd"
        agree = f"{'2 or more' if row['agree'] > 1 else row['agree']} of {row['starts']}"
        cells = (row["law"], row["table"], row["n"], far, held, f"{row['time']:.1f}", agree)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lower = sum(row["of_96_starts"] < 1 - 1e-6 for row in document["tables"])
    text = f"96 starts found a lower objective on {lower or 'none'} of these {len(document['tables'])} tables."
    return "\n".join([*lines, "", *wrapped(text)]) + "\n"


def coverage(document: dict[str, Any]) -> str:
    low, high = document["target"]
    lines = ["| design | runs | objective | errors | new run | E | A | alpha | B | beta |", "|---" * 10 + "|"]
    out = total = 0
    for cell in document["cells"]:
        for errors in ("robust", "bootstrap"):
            shares = [cell[errors]["new_run"], *cell[errors]["parameters"].values()]
            total += len(shares)
            out += sum(not low <= share <= high for share in shares)
            shown = " | ".join(f"{share:.3f}" if low <= share <= high else f"**{share:.3f}**" for share in shares)
            lines.append(f"| {NAMES[cell['design']]} | {cell['n']} | {cell['objective']} | {errors} | {shown} |")
    error = (0.09 / document["tables"]) ** 0.5
    sentence = (
        f"{document['tables']} tables per row, {document['resamples']} resamples each, {document['level']} claimed. "
        f"{out} of {total} shares lie outside [{low}, {high}] (bold); the counting error of a share is {error:.3f}."
    )
    return "\n".join([*lines, "", sentence]) + "\n"


def peers(fit: dict[str, Any], forecast: dict[str, Any], stopping: dict[str, Any], training: dict[str, Any]) -> str:
    """What a newcomer asks of each part, against the usual way of doing it."""
    lines = ["| task | scalefit | the usual way |", "|---" * 3 + "|"]

    def add(task: str, ours: str, *theirs: str) -> None:
        lines.append(f"| {task} | {ours} | {'; '.join(theirs)} |")

    recipe, refits, package = (
        next(row for row in fit["rows"] if row["ours"].startswith(ours) and row["baseline"].startswith(theirs))
        for ours, theirs in (("sf.fit", "published"), ("result.bootstrap", "BFGS"), ("sf.fit", "PyPI"))
    )
    add(
        "fit the 240 points of arXiv:2404.10102 to the optimum",
        f"{recipe['seconds'] * 1e3:.0f} ms of CPU",
        f"published recipe (L-BFGS-B, 4,500 starts): {recipe['baseline_seconds']:.0f} s",
        f"`chinchilla` 0.2.0 of PyPI: {package['baseline_seconds']:.0f} s, objective "
        f"{package['baseline_objective'] / package['objective'] - 1:.0e} higher".replace("e-0", "e-"),
    )
    add("4,000 bootstrap refits", f"{refits['seconds']:.2f} s", f"BFGS: {refits['baseline_seconds']:.0f} s")
    methods = forecast["methods"]
    ours, huber = (methods[name]["overall"] for name in ("sf.forecast", "chinchilla, Huber 1e-3"))
    resampled = methods["case bootstrap, chinchilla"]["overall"]
    add(
        f"mean error for larger runs, {len(methods['sf.forecast']['tables'])} public tables",
        f"{ours['percent']:.2f} % (`sf.forecast`)",
        f"Chinchilla's law by least squares: {methods['chinchilla, least squares']['overall']['percent']:.2f} %",
        f"by Huber loss: {huber['percent']:.2f} %",
    )
    add(
        "of these, inside the 90 % interval",
        f"{ours['coverage']:.0%} (width {ours['width']:.1f} %)",
        f"bootstrap of Chinchilla's law: {resampled['coverage']:.0%} (width {resampled['width']:.1f} %)",
    )
    halfway, laws = stopping["forecasts"]["balanced_mae"], stopping["laws"]["balanced_mae"]
    add(
        f"final loss forecast halfway, {stopping['curves']} public curves",
        f"off by {halfway['rate_unsaid']['0.5']:.3f} nat, or {halfway['no_history']['0.5']:.3f} with the peak rate in "
        f"the plan, {halfway['history']['0.5']:.3f} with a history too",
        f"last value: {laws['last_value']['0.5']:.3f}",
        f"multi-power law, fitted freely: {laws['multi_power']['0.5']:.3f}",
    )
    add(
        f"healthy ones of {stopping['curves']} curves stopped on the way",
        f"{len(stopping['alarms']['healthy_alarmed'])} of {stopping['alarms']['healthy_curves']}",
        f"patience of 3 evaluations at 0.01: {stopping['alarms']['patience_3_delta_0.01_would_stop']:.0%}",
    )
    ratios = sorted(row["ratio"] for row in training["speed"].values() if isinstance(row, dict))
    add(
        "tokens/s of training GPT-2s of 12k to 0.9M parameters, one CPU core",
        f"{ratios[0]:.1f} to {ratios[-1]:.1f} x",
        "`transformers` GPT2LMHeadModel: 1",
    )
    return "\n".join(lines) + "\n"


def exponents(document: dict[str, Any]) -> str:
    """The isoFLOP approaches on Porian et al.'s runs, and the envelope on Gemstones'."""
    percent = f"{100 * document['level']:g} %"
    lines = [f"| runs | published | local | {percent} | parabola |", "|---" * 5 + "|"]
    for row in document["porian"]:
        between = f"{row['lower']:.2f} to {row['upper']:.2f}"
        cells = (row["runs"], f"{row['published']:.3f}", f"{row['local']:.3f}", between, f"{row['parabola']:.3f}")
        lines.append(f"| {' | '.join(cells)} |")
    first, second = (document["porian"][k]["published"] for k in (0, 1))
    sentence = []
    for key, words in (("with", "with embeddings"), ("without", "without them")):
        row = document["gemstones"][key]
        sentence.append(
            f"{row['exponent']:.2f} {words} ({percent}: {row['lower']:.2f} to {row['upper']:.2f}; published "
            f"{row['published']:.3f})"
        )
    text = (
        f"The first two rows are the same runs: the way of counting alone moves the exponent by {first - second:.2f}. "
        "On "
        f"Gemstones (arXiv:2502.06857) the envelope gives {' and '.join(sentence)}."
    )
    return "\n".join([*lines, "", *wrapped(text)]) + "\n"


def methods(document: dict[str, Any]) -> str:
    """What each way of finding the optimum of a budget errs by on simulated tables."""
    lines = [f"| method | rms error of the exponent | median width of the {100 * document['level']:g} % interval "
             "| coverage |", "|---" * 4 + "|"]  # fmt: skip
    for method, row in document["simulated"].items():
        lines.append(f"| {method} | {row['rms_error']:.3f} | {row['median_width']:.3f} | {row['coverage']:.2f} |")
    return "\n".join(lines) + "\n"


def labels(document: dict[str, Any]) -> str:
    """What becomes of the exponent without the rows that are labelled as outliers."""
    found = ", ".join(f"{row['exponent']:.3f} or {row['without']:.3f}" for row in document["outliers"])
    inside = all(row["lower"] < row["without"] < row["upper"] for row in document["outliers"])
    text = (
        f"Exponents with and without the labelled rows: {found}; {'all' if inside else 'not all'} within the intervals."
    )
    return paragraph(text)


def repetition(document: dict[str, Any]) -> str:
    """R_D* with and without the rows in which repetition has begun to hurt."""
    found = document["repetition"]
    every, falling, untied = found["every"], found["falling"], found["R_N_untied"]
    decades = round(math.log10(untied["upper"] / untied["lower"]))
    text = (
        f"Of the {found['rows']} runs of that paper with repeated data, the loss rises in {found['rising']}. With "
        "these, "
        f"R_D* is {every['R_D']:.0f} ± {every['se']:.0f}; without them it is {falling['R_D']:.0f} ± "
        f"{falling['se']:.0f}. "
        f"Runs of at most 20 epochs do {'' if found['short']['trusted'] else 'not '}identify it, and with untied "
        "exponents "
        f"the interval of R_N* spans {decades} decades. The published 15.4 is lower because it comes from another "
        "selection "
        "of runs."
    )
    return paragraph(text)


def next_runs(document: dict[str, Any]) -> str:
    """What next_runs gains over other ways to spend the same compute."""
    right, size, wrong = (scenario["designs"] for scenario in document["scenarios"])
    rows = {
        "nothing": right["nothing"],
        "one more isoFLOP budget": right["isoflop, one budget"],
        "two more isoFLOP budgets": right["isoflop, two budgets"],
        "random runs": right["random"],
        "`next_runs`, target loss": right["next_runs"],
        "`next_runs`, target N": size["next_runs"],
    }
    keys = {"rmse_ln_loss": 1.0, "rmse_ln_N": 1.0, "mean_regret": 1e4}
    least = {key: min(row[key] for row in rows.values()) for key in keys}
    lines = ["| spent on | ln loss at the plan | ln N* | mean regret [10⁻⁴ nat] |", "|---" * 4 + "|"]
    for name, row in rows.items():
        cells = [f"{scale * row[key]:#.2g}" for key, scale in keys.items()]
        shown = [f"**{c}**" if row[key] == least[key] else c for c, key in zip(cells, keys, strict=True)]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    others = [row for name, row in wrong.items() if name not in ("nothing", "next_runs")]
    ours, low, high = wrong["next_runs"], min(r["rmse_ln_N"] for r in others), max(r["rmse_ln_N"] for r in others)
    text = (
        "`next_runs` assumes that the law is right. Where the runs followed another law than the fitted one, the "
        f"error of the loss at the plan was {ours['rmse_ln_loss']:.3f}, against "
        f"{min(r['rmse_ln_loss'] for r in others):.3f} and more for the other designs, and that of N* "
        f"{ours['rmse_ln_N']:.2f}, against {low:.2f} to {high:.2f}: compare laws before you trust a design that rests "
        "on one."
    )
    return "\n".join([*lines, "", *wrapped(text)]) + "\n"


def forecast_errors(document: dict[str, Any]) -> str:
    """Errors of the forecast final loss by method, and ours by group of curves."""
    parts = ("0.25", "0.5", "0.75")
    heads = " | ".join(f"{float(part):.0%}".replace("%", " %") for part in parts)
    mae, laws = document["forecasts"]["balanced_mae"], document["laws"]["balanced_mae"]
    rows = {
        "last value (mean of the last 4 %)": laws["last_value"],
        "power law": laws["power"],
        "power law, last 70 %": laws["tail_power"],
        "Tissue et al., free": laws["tissue"],
        "multi-power law, free": laws["multi_power"],
        "saturating law, free": laws["saturating"],
        "forecast, no history, peak rate not in the plan": mae["rate_unsaid"],
        "**forecast, no history**": mae["no_history"],
        "**forecast, earlier runs of the recipe**": mae["history"],
    }
    lines = [f"| method | {heads} |", "|---" * 4 + "|"]
    for name, row in rows.items():
        bold = "**" if name.startswith("**") else ""
        lines.append(f"| {name} | {' | '.join(f'{bold}{row[part]:.3f}{bold}' for part in parts)} |")
    groups = document["forecasts"]["per_group_mae"]
    lines += ["", "Per group, without and with history:", "", f"| group | {heads} |", "|---" * 4 + "|"]
    for name in groups["no_history"][parts[0]]:
        cells = [", ".join(f"{groups[how][part][name]:.3f}" for how in ("no_history", "history")) for part in parts]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def bands(document: dict[str, Any]) -> str:
    """Coverage and width of the 90 % band by source, and what advice does to healthy curves."""
    plain, taught = (document["forecasts"]["per_source"][how] for how in ("no_history", "history"))
    lines = [
        "| source | cells | covered | mean half-width | largest error | with history: covered | half-width |",
        "|---" * 7 + "|",
    ]
    for name, cells in plain["cells"].items():
        own = [
            f"{plain[key][name]:.{d}f}" for key, d in (("coverage", 2), ("mean_half_width", 3), ("largest_error", 2))
        ]
        more = [
            f"{taught[key][name]:.{d}f}" for key, d in (("coverage", 2), ("mean_half_width", 3)) if name in taught[key]
        ]
        lines.append(f"| {name} | {cells} | {' | '.join(own)} | {' | '.join(more or ['too few', ''])} |")
    return "\n".join(lines) + "\n"


def alarms(document: dict[str, Any]) -> str:
    """False alarms at every evaluation, and what patience would have done."""
    found = document["alarms"]
    alarmed = len(found["healthy_alarmed"])
    text = (
        f"Advice was asked for at each of {found['advices']:,} evaluations, with the shipped priors. It gave stop, "
        "rollback or "
        f"diverging on {alarmed or 'none'} of the {found['healthy_curves']} healthy curves; the one that diverged was "
        f"{'found' if found['diverged_curve_found'] else 'missed'}. Patience 1 would have stopped "
        f"{found['patience_1_would_stop']:.0%} of them, patience 3 with min_delta 0.01 "
        f"{found['patience_3_delta_0.01_would_stop']:.0%}. The largest error of a forecast on a curve called healthy, "
        f"at any evaluation, was {found['largest_error_while_called_healthy']:.2f} nat.".replace("%", " %")
    )
    cost = document["cost"]
    took = (
        f"Cost in CPU time on one core: an update and an advice with 10,000 logged points take "
        f"{cost['ms_per_update_and_advise_at_10000']:.1f} ms. {cost['updates']:,} updates: {cost['seconds']:.0f} s, "
        f"{cost['memory_growth_mb']:.1f} MB more memory in use, {cost['points_kept']:,} points kept, a state of "
        f"{cost['state_mb']:.2f} MB."
    )
    return "\n".join([*wrapped(text), "", *wrapped(took)]) + "\n"


def collecting(document: dict[str, Any]) -> str:
    """How long thousands of runs take to collect."""
    each = ", ".join(f"{store} {row['ms_per_run']:.1f}" for store, row in document["stores"].items())
    text = (
        f"{document['rows']:,} runs of {len(document['stores'])} kinds with {document['points']} logged steps "
        f"(W&B: 10) take {document['cpu_seconds']:.0f} s of CPU time "
        f"and {document['peak_mb']} MB (`benchmarks/collecting.py`); "
        f"per run, in ms by the clock of a shared machine: {each}."
    )
    return paragraph(text)


def repeated(document: dict[str, Any]) -> str:
    """Forecasts and stops of runs that repeat their data."""
    lines = [
        "`benchmarks/repeated.py`: 2.8B models on 55B tokens of C4 and OSCAR in 1 to 44 passes. Mean absolute error,",
        "and the share of ends inside the 90 % band:",
        "",
        "| passes | curves | 25 % | 50 % | 75 % | 25 %, passes not in the plan |",
        "|---" * 6 + "|",
    ]
    cells = {(row["epochs_said"], row["epochs"], row["fraction"]): row for row in document["errors"]}
    for passes in dict.fromkeys(row["epochs"] for row in document["errors"]):
        found = [cells[key, passes, at] for key, at in ((True, 0.25), (True, 0.5), (True, 0.75), (False, 0.25))]
        shown = " | ".join(f"{row['mae']:.3f}, {row['covered']:.2f}" for row in found)
        lines.append(f"| {passes} | {found[0]['curves']} | {shown} |")
    cut = [stop for stop in document["stops"] if stop["epochs_said"]]
    where = " and ".join(f"{stop['at']:.2f} ({stop['data']}, {stop['epochs']} passes)" for stop in cut)
    worst = max(stop["forgone"] for stop in cut)
    text = (
        f"{len(cut)} of {document['curves']} runs are stopped, at {where} of the plan; the loss is at most "
        f"{worst:.3f} higher."
    )
    return "\n".join([*lines, "", *wrapped(text)]) + "\n"


def fine_tunes(document: dict[str, Any]) -> str:
    """What advice does to fine-tunes, and their forecasts."""
    d = document

    def three(part: str, key: str, digits: int) -> str:
        values = [f"{d[part][fraction][key]:.{digits}f}" for fraction in ("0.25", "0.5", "0.75")]
        return f"{values[0]}, {values[1]} and {values[2]}"

    stops = (
        f"A stop (or, for a few, a rollback) is advised on {100 * d['overfit_stopped']:.1f} % of {d['overfit']} "
        f"overfit runs, {100 * d['overfit_stopped_of_7_or_fewer']:.0f} % of those with seven or fewer "
        f"evaluations, which saves "
        f"{100 * d['steps_saved']:.0f} % of their steps; and on {100 * d['healthy_stopped']:.1f} % of {d['healthy']} "
        f"healthy ones, {100 * d['healthy_generative_stopped']:.1f} % of the generative. "
        f"{100 * d['stops_that_lost_0.01']:.1f} % of these stops cost more than 0.01, the worst "
        f"{d['largest_loss_of_a_stop']:.2f}. "
        f"Counting every run whose last loss alone is 0.05 above its best, also where the training loss was logged "
        f"late or never ({d['ends_above']['runs']}): {100 * d['ends_above']['stopped']:.1f} % are stopped and "
        f"{100 * d['ends_above']['steps_saved']:.0f} % of their steps saved."
    )
    ends = (
        f"Forecasts at 25, 50 and 75 % of the plan: mean absolute error {three('forecasts', 'mae', 3)} (last value "
        f"{three('forecasts', 'last_value', 3)}), the 90 % band covering {three('forecasts', 'covered', 2)}; on "
        f"healthy runs {three('forecasts_healthy', 'mae', 3)} (last value "
        f"{three('forecasts_healthy', 'last_value', 3)}), "
        f"covering {three('forecasts_healthy', 'covered', 2)}. Negative forecasts and inverted bands: "
        f"{d['impossible_forecasts']}."
    )
    return "\n".join([*wrapped(stops), "", *wrapped(ends)]) + "\n"


def form(document: dict[str, Any]) -> str:
    """What the two changes of the multi-power law are worth on finished runs."""
    groups = document["groups"]

    def lowered(other: str) -> list[str]:
        pairs = {name: (group[other]["rmse"], group["saturating"]["rmse"]) for name, group in groups.items()}
        found = sorted((b / a, name) for name, (a, b) in pairs.items() if b < 0.8 * a)
        return [f"{pairs[name][0]:.4f} to {pairs[name][1]:.4f} on {name}" for _, name in found]

    def span(law: str) -> str:
        known = [
            group[law]["alpha"] for name, group in groups.items() if not name.startswith("LRA")
        ]  # no warm-up logged
        return f"{min(known):.2f} to {max(known):.2f}"

    text = (
        f"What both changes gain on {document['curves']} finished runs (`benchmarks/stopping_form.py`; median residual "
        f"of a "
        f"group [nat]). Saturation: {', '.join(lowered('unsaturated'))}; less than a fifth elsewhere. The warm-up at "
        f"its "
        f"actual rate: {', '.join(lowered('warmup_at_peak'))}; and the exponents a of the groups with known "
        f"warm-up are {span('saturating')}; before they were {span('warmup_at_peak')}."
    )
    return paragraph(text)


def priors(document: dict[str, Any]) -> str:
    """The shipped priors of the forecast of a live run."""
    found = document["priors"]
    text = (
        f"A full anneal gains C = {found['gain']:.2f} nat, with a standard deviation of "
        f"{100 * found['gain_spread']:.0f} %, "
        f"and a = {found['exponent']:.2f}: learned from {found['source']}."
    )
    return paragraph(text)


def against(document: dict[str, Any]) -> str:
    """The laws of the associative memory against fitted laws, on public tables."""
    from associative_memory import table

    rows = document["rows"]
    theory, free = (
        [row for row in rows if row["law"] == law] for law in ("associative_memory", "associative_memory_effective")
    )
    usual = {
        (row["table"], row["series"], row["cut"], row["law"]): row.get("held_out", row["in_sample"])["rms"]
        for row in rows
        if row["law"] in ("chinchilla", "kaplan")
    }
    inside = [100 * row["in_sample"]["rms"] for row in theory if row["cut"] == "all"]
    beyond = max(100 * row["held_out"]["rms"] for row in theory if "held_out" in row)
    slopes = [row["params"]["b"] for row in free]
    ratios, better = [], []
    for row in free:
        of_others = [usual[row["table"], row["series"], row["cut"], law] for law in ("chinchilla", "kaplan")]
        if row["cut"] == "all":
            ratios += [row["in_sample"]["rms"] / other for other in of_others]
        elif row["held_out"]["rms"] < max(of_others):
            better.append(row["n_test"])
    splits = sum(row["cut"] != "all" for row in free)
    text = (
        f"**The theory's law is off by {min(inside):.0f} to {max(inside):.0f} % in sample and by up to {beyond:.0f} % "
        f"on "
        f"larger runs.** With a free slope, the fit gives {min(slopes):.3f} to {max(slopes):.3f} where the theory "
        "says 1. "
        f"Even then its error in sample is {min(ratios):.1f} to {max(ratios):.1f} times that of Chinchilla's and "
        f"Kaplan's laws, which have five and four parameters where it has three. On {len(better)} of {splits} held-out "
        f"splits its error is below that of one of them."
    )
    return "\n".join([table(rows), "", *wrapped(text)]) + "\n"


def wrapped(text: str) -> list[str]:
    """Lines of a paragraph, as the pages are written."""
    return textwrap.wrap(text, 120, break_on_hyphens=False)


def paragraph(text: str) -> str:
    """A paragraph, as the pages are written."""
    return "\n".join(wrapped(text)) + "\n"


def training(document: dict[str, Any]) -> str:
    m, q, k, e, s, n = (document[name] for name in ("memoriser", "question", "kills", "ensemble", "speed", "nearest"))
    sizes = sorted((row["tokens_per_second"], size) for size, row in s.items() if isinstance(row, dict))
    ratios = ", ".join(
        f"{s[size]['ratio']:.2f} [{min(s[size]['ratios']):.2f}, {max(s[size]['ratios']):.2f}] ({size})"
        for _, size in reversed(sizes)
    )
    floor = f"{m['train_loss']:.4f} against {m['memoriser_floor']:.4f}, {m['over_floor']:+.1%}"
    touched = (
        f"{k['finished_runs_lost_or_repeated']} of {k['runs_finished_while_killing']} results touched while killing"
    )
    asked = k.get("asked_to_end", 0)
    ended = f"{k['kills'] - asked} SIGKILLs" + (f" and {asked} SIGTERMs" if asked else "") + " in a sweep"
    hand, step, rate = document["plain"], document["optimizer"], document["transfer"]
    by_hand = ", ".join(
        f"{hand[size]['ratio']:.3f} [{min(hand[size]['ratios']):.3f}, {max(hand[size]['ratios']):.3f}] ({size})"
        for size in ("12M", "124M")
    )
    best = {
        name: [rate[name]["best"][width] for width in sorted(rate[name]["best"], key=int)]
        for name in ("maximal_update", "usual")
    }
    rates = " against ".join(
        f"{', '.join(f'{value:.4f}' for value in values)} ({name.replace('_', '-')})" for name, values in best.items()
    )
    same = "bitwise those" if k["losses_bitwise_equal"] else "NOT those"
    rows = (
        (
            f"memoriser, {m['lines']} lines, {m['N'] / 1e6:.2f}M parameters",
            "within 3 % of log(n) / tokens-per-line, in 5 minutes",
            f"{floor}, {m['cpu_seconds']:.0f} CPU s",
        ),
        (
            "GPT on 30,000 Question-Formation lines",
            "within 0.03 of H(data)",
            f"{q['loss']:.4f} ± {q['loss_se']:.4f} against {q['H_data']:.4f}, {q['cpu_seconds']:.0f} CPU s",
        ),
        (
            "Markov order 1, 64 states",
            "H + 0.02",
            f"H {document['markov']['loss_minus_H_data']:+.4f}, {document['markov']['cpu_seconds']:.0f} CPU s",
        ),
        (
            ended,
            "nothing lost, nothing repeated",
            f"{touched}; all {k['rows']} losses are {same} of an undisturbed sweep",
        ),
        (
            "three members against three single runs",
            "equal",
            f"largest difference {e['largest_difference']:.0e} nat/token; {e['cpu_seconds_together']:.1f} against "
            f"{e['cpu_seconds_one_by_one']:.1f} CPU s",
        ),
        ("two gloo processes against one", "equal", f"difference {document['ddp']['difference']:.0e} nat/token"),
        (
            "tokens per second over transformers' GPT-2",
            "at least 1, 1.5 at the smallest",
            f"median [range] of {len(s['12k']['ratios'])}: {ratios}",
        ),
        (
            "tokens per second over a loop written by hand (`benchmarks/plain_loop.py`)",
            "at least 1",
            f"median [range] of {len(hand['12M']['ratios'])}: {by_hand}",
        ),
        (
            "AdamW step with clipping at 12M parameters",
            "at most 1.06 of torch's fused one with clipping",
            f"{step['ours_over_torch']:.2f} ({step['cpu_ms']['ours']:.1f} against {step['cpu_ms']['torch']:.1f} CPU "
            "ms)",
        ),
        (
            f"best learning rate at widths 64, 128, 256, 512 after {rate['steps']} steps",
            "the same",
            f"{rates}; the lowest rate tried was {min(rate['rates']):.4f}",
        ),
        (
            f"nearest neighbours of {n['n_points']:,} points of {n['dim']:,} dimensions",
            "exact, in minutes",
            f"{n['cpu_seconds']:.0f} CPU s on {n['threads']} thread; {n['rows_checked_by_brute_force']} rows against "
            f"brute force in double precision: relative difference {n['largest_relative_difference']:.0e}",
        ),
    )
    lines = ["| what | asked | measured |", "|---|---|---|", *(f"| {' | '.join(cells)} |" for cells in rows)]
    made = sorted({f"{row['device']}, torch {row['torch']}, {row['threads']} thread" for row in document.values()})
    return "\n".join([*lines, "", f"Measured on {'; '.join(made)}, shared with other work."]) + "\n"


def recipes_public(document: dict[str, Any]) -> str:
    """Multipliers on a public table of optimizers."""
    seen = document["public"]
    lines = ["| recipe | over | runs | centre | largest | ten times beyond |", "|---" * 6 + "|"]
    for row in seen["rows"]:
        ends = ["{:.2f} [{:.2f}, {:.2f}]".format(*row[where]) for where in ("centre", "largest", "beyond")]
        cells = (row["recipe"], row["baseline"], f"{row['runs']}", *ends)
        lines.append(f"| {' | '.join(cells).replace('_', ' ')} |")
    smallest, largest = (N / 1e9 for N in seen["N"])
    text = (
        f"{seen['runs']} runs of {smallest:.3g}B to {largest:.3g}B parameters at about {seen['ratio']:.0f} tokens per "
        f"parameter, the largest of {seen['rows'][0]['C']:.2g} FLOP; loss in bits per byte of Paloma's C4; intervals "
        f"of {100 * document['level']:g} %. The Adam family is AdamW, AdamC and the cautious variants."
    )
    return "\n".join([*lines, "", *wrapped(text)]) + "\n"


def recipes_muon(document: dict[str, Any]) -> str:
    """Muon over AdamW on every table that has both."""
    lines = ["| runs | shape or variant | AdamW + Muon | centre | largest | verdict |", "|---" * 6 + "|"]
    for row in document["public"]["rows"]:
        if "muon" in row["recipe"]:
            ends = ["{:.2f} [{:.2f}, {:.2f}]".format(*row[where]) for where in ("centre", "largest")]
            over = {"adam_family": "the Adam family"}.get(row["baseline"], row["baseline"]).replace("_", " ")
            what = f"{row['recipe'].replace('_', ' ')} over {over}"
            n = document["public"]["runs"] - row["runs"] if row["baseline"] == "adam_family" else row["runs"]
            cells = ("Marin's speedruns", what, f"{n} + {row['runs']}", *ends, _said(row["verdict"]))
            lines.append(f"| {' | '.join(cells)} |")
    names = {"books": "our ladder, 73 books", "stdlib": "our ladder, Python's library", "facts": "our ladder, facts"}
    for row in document["muon"]:
        ends = ["{:.2f} [{:.2f}, {:.2f}]".format(*row[where]) for where in ("centre", "largest")]
        shape = {"gpt2": "GPT-2", "llama": "Llama"}[row["family"]] + (" *" if "two_laws" in row["notes"] else "")
        cells = (names[row["series"]], shape, "{} + {}".format(*row["runs"]), *ends, _said(row["verdict"]))
        lines.append(f"| {' | '.join(cells)} |")
    text = (
        f"Compute multiplier of Muon over AdamW with {100 * document['level']:g} % intervals; our ladder as branches "
        "of trunks (`branches=True`). A star: the two recipes do not follow one law (`two_laws`), so the multiplier "
        "depends "
        "on the loss at which it is read. Losses on facts are below those of language models."
    )
    return "\n".join([*lines, "", *wrapped(text)]) + "\n"


def _said(verdict: str) -> str:
    """A verdict in two or three words."""
    if "cannot be told" in verdict or "not clear" in verdict:
        return "better over the runs, not clear at the largest"
    if "no difference seen that stands" in verdict or "no clear difference" in verdict:
        return "better if read alone, not with the other variants"
    if "likely better" in verdict:
        return "likely better, not certain"
    return "no difference seen" if "no difference seen" in verdict else verdict.split(":")[0].split(" is ")[-1]


def recipes_uneven(document: dict[str, Any]) -> str:
    """Coverage where one recipe has more runs, and how often "better" is said where nothing is."""
    places = ("centre", "largest", "beyond")
    head = '| runs | laws | tables | centre | largest | ten times beyond | falsely "better" |'
    lines = [head, "|---" * 7 + "|"]
    for row in document["uneven"]:
        shares = ["{:.2f} [{:.2f}, {:.2f}]".format(*row[where][:3]) for where in places]
        shares.append("{:.2f} [{:.2f}, {:.2f}]".format(*row["better"][:3]) if row["better"] else "–")
        lines.append(f"| {row['n'][0]} and {row['n'][1]} | {row['laws']} | {row['centre'][3]} | {' | '.join(shares)} |")
    null = document["null"]
    called = {
        name: "{:.3f} [{:.3f}, {:.3f}]".format(*null["all"][name][:3]) for name in ("verdict", "centre", "largest")
    }
    text = (
        f"Where neither recipe is better and the laws are equal ({null['all']['verdict'][3]} tables over all "
        f'{null["cells"]} combinations of design, n and noise), the verdict reads "better" in {called["verdict"]} of '
        f"them; the lower end alone is above 1 in {called['centre']} at the centre and {called['largest']} at the "
        "largest compute (0.05 claimed). The four combinations with the most such verdicts, drawn again with other "
        "seeds:"
    )
    lines += ["", *wrapped(text), "", "| combination | tables | verdict | centre | largest |", "|---" * 5 + "|"]
    for name, cell in null["worst"].items():
        shares = ["{:.2f} [{:.2f}, {:.2f}]".format(*cell[k][:3]) for k in ("verdict", "centre", "largest")]
        lines.append(f"| {name} | {cell['verdict'][3]} | {' | '.join(shares)} |")
    return "\n".join(lines) + "\n"


def recipes(document: dict[str, Any]) -> str:
    """Coverage of a compute multiplier, pooled over every factor but one."""
    low, high = document["target"]
    lines = ["| tables with | tables | centre | largest | ten times beyond |", "|---" * 5 + "|"]
    summary = dict(document["summary"])
    null, weakest = summary.pop("false better"), summary.pop("weakest")
    for name, cell in summary.items():
        shown = []
        for where in ("centre", "largest", "beyond"):
            share = cell[where]["coverage"]
            text = f"{share:.3f}" if low <= share <= high else f"**{share:.3f}**"
            shown.append(f"{text} ({cell[where]['width']:.2f})")
        lines.append(f"| {name} | {cell['tables']} | {' | '.join(shown)} |")
    fewest = min(cell["tables"] for cell in summary.values())
    sentence = (
        f"{document['level']} claimed; shares outside [{low}, {high}] are bold, and the counting error of a share is "
        f"{(0.09 / fewest) ** 0.5:.3f} or less. Where neither recipe is better and the laws are equal "
        f'({null["tables"]} tables), the verdict read "better" in {null["verdict"]:.3f} of them, and the lower end '
        f"alone was above 1 in {null['centre']:.3f} at the centre and {null['largest']:.3f} at the largest. "
    )
    places = ("centre", "largest", "beyond")
    listed = "; ".join(
        f"{name}, {' / '.join('{:.2f}'.format(cell[where]['coverage']) for where in places)}"
        for name, cell in weakest.items()
    )
    sentence += f"The weakest combinations of design, n and laws, {min(c['tables'] for c in weakest.values())} tables "
    sentence += f"each, so some are low by chance: {listed}. "
    sentence += f"Other truths ({min(c['tables'] for c in document['other'].values())} tables each): "
    sentence += "; ".join(
        f"{name}, {' / '.join('{:.2f}'.format(cell[where]['coverage']) for where in places)}"
        for name, cell in document["other"].items()
    )
    low, ends = document["low"], ("centre", "largest")
    shares = [[row[where] for row in low] for where in ends]
    sentence += (
        f". Losses far below those of language models (floors of 0 to 0.3 nat; {len(low)} cells of {low[0]['tables']} "
        f"tables with 9 or 25 runs): {np.mean(shares[0]):.2f} at the centre and {np.mean(shares[1]):.2f} at the "
        f"largest, {min(map(min, shares)):.2f} in the worst cell."
    )
    drawn = [
        *lines,
        "",
        *wrapped(sentence),
        "",
        "Drawn again with other seeds (exact 95 % intervals of the shares):",
        "",
    ]
    drawn += [f"| cell | noise | tables | {' | '.join(('centre', 'largest', 'ten times beyond'))} |", "|---" * 6 + "|"]
    for row in document["checked"]:
        shares = ["{:.2f} [{:.2f}, {:.2f}]".format(*row[where][:3]) for where in places]
        cell = f"{row['design']}, {row['n']} runs, {row['laws']}"
        drawn.append(f"| {cell} | {100 * row['size']:g} % | {row['tables']} | {' | '.join(shares)} |")
    return "\n".join(drawn) + "\n"


def hyperparameters(document: dict[str, Any]) -> str:
    """Laws of public sweeps, loss lost on their larger cells, and coverage on simulated sweeps."""
    sweeps = {name: document[name] for name in ("dense", "moe")}
    lines = ["| sweep | setting | exponent of N | exponent of D | scatter |", "|---" * 5 + "|"]
    for name, found in sweeps.items():
        for setting, law in found["laws"].items():
            ends = [f"{law[one]:.2f} [{law[f'{one}_lower']:.2f}, {law[f'{one}_upper']:.2f}]" for one in ("N", "D")]
            lines.append(f"| {name}, {found['cells']} cells | {setting} | {' | '.join(ends)} | {law['scatter']:.3f} |")
    methods = list(sweeps["dense"]["held_out"][0]["lost"])
    sentence = (
        "Settings of the larger cells, predicted from the n smallest: the loss above each cell's best [10⁻³ "
        "nat/token], "
        "mean (largest)."
    )
    lines += ["", sentence, "", f"| sweep | n | held out | compute beyond | {' | '.join(methods)} |"]
    lines.append("|---" * (4 + len(methods)) + "|")
    inside = total = 0.0
    for name, found in sweeps.items():
        for row in found["held_out"]:
            least = min(cell["mean"] for cell in row["lost"].values())
            cells = []
            for lost in (row["lost"][method] for method in methods):
                shown = f"{1e3 * lost['mean']:.1f} ({1e3 * lost['largest']:.1f})"
                cells.append(f"**{shown}**" if lost["mean"] == least else shown)
            first = f"{name} | {row['cells']} | {row['held_out']} | {row['beyond']:.1f} x"
            lines.append(f"| {first} | {' | '.join(cells)} |")
            inside += row["held_out"] * sum(row["inside"].values())
            total += row["held_out"] * len(row["inside"])
    costs = {
        name: ", ".join(f"{one['setting']} x {one['factor']:g} {one['penalty']:.4f}" for one in found["off_by_2"])
        for name, found in sweeps.items()
    }
    text = (
        f"Step Law's constants were fitted to these dense cells, held-out ones included: its dense rows are not a "
        f"forecast. The intervals ({document['level']} claimed) contained {inside / total:.2f} of the held-out cells' "
        "own "
        f"optima. An error of a factor of two at the largest N and D costs [nat/token] "
        f"{'; '.join(f'{name}: {cost}' for name, cost in costs.items())}."
    )
    low, high = document["target"]
    summary = document["simulated"]["summary"]
    lines += ["", *wrapped(text), ""]
    lines.append("| simulated sweeps with | tables | optimum of a cell | lr, compute x 10 | lr, N and D x 10 each |")
    lines.append("|---" * 5 + "|")
    for name, cell in summary.items():
        shares = []
        for where in ("cells", "compute", "both"):
            part = cell[where]["coverage"]
            share = f"{part:.2f}" if low <= part <= high else f"**{part:.2f}**"
            shares.append(f"{share} (x {math.exp(cell[where]['width']):.2f})")
        lines.append(f"| {name} | {cell['tables']} | {' | '.join(shares)} |")
    fewest = min(cell["tables"] for cell in summary.values())
    text = (
        f"Coverage of intervals ({document['level']} claimed) of the learning rate, and upper over lower end "
        f"(median); shares outside [{low}, {high}] are bold, and the counting error of a share is "
        f"{(0.09 / fewest) ** 0.5:.3f} or less. Ten times beyond the largest cell, for a new optimum with its scatter."
    )
    return "\n".join([*lines, "", *wrapped(text)]) + "\n"


def downstream_story(document: dict[str, Any]) -> str:
    """The worked story: larger models of a public table from smaller ones."""
    story = document["story"]
    lines = ["| tokens D | mean accuracy predicted | 90 % interval | measured |", "|---" * 4 + "|"]
    for row in story["average"]:
        ends = f"[{row['lower']:.3f}, {row['upper']:.3f}]"
        lines.append(f"| {row['D'] / 1e9:.3g}B | {row['loss']:.3f} | {ends} | {row['truth']:.3f} |")
    lines += ["", "| task, the model of most tokens | predicted | 90 % interval | measured |", "|---" * 4 + "|"]
    for row in story["tasks"]:
        ends = f"[{row['lower']:.3f}, {row['upper']:.3f}]"
        name = row["task"].removeprefix("acc|")
        lines.append(f"| {name} | {row['value']:.3f} | {ends} | {row['truth']:.3f} |")
    off = [abs(row["loss"] - row["truth"]) / (1 - row["truth"]) for row in story["average"]]
    inside = sum(row["lower"] <= row["truth"] <= row["upper"] for row in story["tasks"])
    text = (
        f"The prediction of the mean error (1 minus the accuracy) was off by {100 * sum(off) / len(off):.1f} % on "
        "average and by "
        f"{100 * max(off):.1f} % at most. {inside} of the {len(story['tasks'])} predictable tasks are inside their "
        "intervals; "
        f"{len(story['named'])} others had been named as not predictable."
    )
    return "\n".join([*lines, "", *wrapped(text)]) + "\n"


def downstream(document: dict[str, Any]) -> str:
    """Held-out models of a public table, and simulated tables."""

    def share(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f}" if 0.85 <= value <= 0.95 else f"**{value:.2f}**"

    def errors(row: dict[str, Any]) -> str:
        return " | ".join(f"{row[f'able_{name}']:.4f}" for name in ("error", "one_step", "flat"))

    columns = ("predictable", "covered", "error", "one step", "flat")
    head = ("held out (public)", "times the compute", *columns, "mean: covered", "error", "one step")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in document["public"]:
        cells = [row["split"], f"{row['jump']:.0f}", f"{row['predictable']} of {row['tasks']}", share(row["covered"])]
        cells += [errors(row), share(row["average_covered"])]
        cells += [
            f"{row['average_error']:.4f} ({100 * row['average_relative']:.1f} %)",
            f"{row['average_one_step']:.4f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    head = ("scatter (simulated)", "guessing rate", *columns, "mean: covered")
    lines += ["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in document["simulated"]:
        cells = [f"{row['scatter']}", "known" if row["known"] else "estimated"]
        cells += [f"{row['predictable']} of {row['tasks']}", share(row["covered"]), errors(row)]
        lines.append(f"| {' | '.join([*cells, share(row['average_covered'])])} |")
    called: dict[str, dict[bool, float]] = {}
    for row in document["called_predictable"]:
        called.setdefault(row["kind"], {})[row["known"]] = row["share"]
    sentence = "; ".join(f"{kind} {both[True]:.2f} and {both[False]:.2f}" for kind, both in called.items())
    text = (
        f"{document['level']} claimed; shares outside [.85, .95] are bold. Covered, error, one step (directly from N "
        f"and D) and flat (no further gain) are of the predictable tasks, in accuracy; the mean is that over tasks, "
        f"its error in brackets relative to the mean error (1 less the accuracy). {document['tables']} simulated "
        "tables per row. Share called predictable, with the guessing rate known and estimated, by kind of task: "
        f"{sentence}."
    )
    return "\n".join([*lines, "", *wrapped(text)]) + "\n"


def downstream_few(document: dict[str, Any]) -> str:
    """What few models know of tasks of known truth."""

    def share(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f}"

    head = ("task", "models", "called predictable", "known at 2 times", "covered", "width", "at 10 times", "covered")
    lines = [f"| {' | '.join((*head, 'width'))} |", "|---" * (len(head) + 1) + "|"]
    kinds = list(dict.fromkeys(row["kind"] for row in document["few"]))
    never = [kind for kind in kinds if not any(row["predictable"] for row in document["few"] if row["kind"] == kind)]
    for row in sorted(document["few"], key=lambda row: kinds.index(row["kind"])):
        if row["kind"] in never:
            continue
        cells = [row["kind"], f"{row['n']}", share(row["predictable"])]
        for ahead in ("2", "10"):
            cells += [share(row[f"{key}_{ahead}"]) for key in ("known", "covered", "width")]
        lines.append(f"| {' | '.join(cells)} |")
    tables = document["few"][0]["tables"]
    text = (
        f"Shares of {tables} simulated tables per row, guessing rate known: models over one to three decades of "
        "compute, "
        "scatter 0.005 or 0.02, read at 2 and 10 times the compute of the most expensive. Covered and width (median, "
        f"in accuracy) count only known answers, {document['level']} claimed. Never called predictable: "
        f"{', '.join(never)}."
    )
    return "\n".join([*lines, "", *wrapped(text)]) + "\n"


def others(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """Forecasts of other packages on the splits of ours."""
    rows = {"`sf.forecast`": ours["methods"]["sf.forecast"]["overall"]}
    rows |= {f"{theirs['package']}, `{law}`": part["overall"] for law, part in theirs["laws"].items()}
    refits = ours["methods"]["case bootstrap + residual noise"]
    rows["Chinchilla's law by Huber loss, refits and noise (ours)"] = refits["overall"]
    lines = ["| | error % | coverage of 90 % | width % | interval score % | worst error % |", "|---" * 6 + "|"]
    for name, row in rows.items():
        cells = [f"{row[key]:.2f}" for key in ("percent", "coverage")]
        cells += [f"{row[key]:.1f}" for key in ("width", "interval_score")]
        lines.append(f"| {name} | {' | '.join(cells)} | {row['worst']:.0f} |")
    laws = theirs["laws"].values()
    refused = sum(len(part["refused"]) for part in laws)
    sentence = (
        f"Means over the twelve tables, {max(part['splits'] for part in laws)} splits; {refused} fits of the other "
        f"package were refused. Its intervals are those of a new run from {theirs['draws']} draws. The interval score "
        f"is the width plus 20 times the miss."
    )
    return "\n".join([*lines, "", *wrapped(sentence)]) + "\n"


def mixture_story(document: dict[str, Any]) -> str:
    """The worked table: verdicts, the largest shares and the note on extrapolation, as printed."""

    def shown(text: str) -> list[str]:
        lines = text.splitlines()
        table = lines.index("")
        note = next(k for k, line in enumerate(lines) if "extrapolation:" in line)
        end = next(k for k in range(note + 1, len(lines)) if not lines[k].startswith("      "))
        return ["```", *lines[: table + 5], "...", *lines[note:end], "```"]

    beyond = []
    for line in document["story"]["free"].splitlines():
        if (found := re.fullmatch(r"\S+ +([\d.]+) .* ([\d.]+) to ([\d.]+)", line)) and float(found[3]) > 0:
            beyond.append(float(found[1]) / float(found[3]))
    times = " and ".join(f"{ratio:.0f}" for ratio in sorted(beyond)[-2:])
    return "\n".join(
        [
            *shown(document["story"]["free"]),
            "",
            "An unconstrained optimiser goes where the runs say least: here to",
            f"{times} times the largest shares of any run, and the gain over the best run may be zero.",
            "",
            "Restrict it to the shares that were tried:",
            "",
            "```py",
            'best = sf.optimal_mixture(fits, bounds="tried")',
            "```",
            "",
            *shown(document["story"]["tried"]),
        ]
    ) + "\n"  # fmt: skip


def mixture_tables(document: dict[str, Any]) -> str:
    """Held-out mixtures of two public tables, and constants as printed."""
    lines = [
        "| table | law | error of a loss | rank correlation | regret of the mixture chosen [nat] |",
        "|---" * 5 + "|",
    ]
    for row in document["held_out"]:
        name = f"{row['table']}: {row['mixtures']} mixtures, {row['losses']} losses"
        law = "a line in the shares" if row["law"] == "line" else f"`{row['law']}`"
        cells = (f"{100 * row['rms']:.1f} %", f"{row['spearman']:.3f}", f"{row['regret_mean']:.3f}")
        lines.append(f"| {name} | {law} | {' | '.join(cells)} |")
    sentence = (
        "The error is the root mean square of the log loss, the mean over losses; regret is the measured mean loss of "
        "the held-out mixture with the lowest prediction, above the lowest measured one."
    )
    pairs = ", ".join(f"{row['loss']} {row['printed']:.3f} ({row['fitted']:.3f})" for row in document["printed"])
    more = (
        "The five published sets of constants of `data_mixing` miss their nearest losses of the first table by "
        f"{pairs} in the log; in brackets, a fit of the same law."
    )
    return "\n".join([*lines, "", sentence, "", more]) + "\n"


def mixture_simulated(document: dict[str, Any]) -> str:
    """Coverage of an optimal mixture on tables of known laws."""
    lines = [
        "| truth | fitted | mixtures | shares | loss | a run | gain over the best | regret [nat] |",
        "|---" * 8 + "|",
    ]
    for row in document["simulated"]:
        shown = " | ".join(f"{row[key]:.2f}" for key in ("shares", "loss", "run", "gain_best"))
        lines.append(f"| {row['truth']} | {row['law']} | {row['n']} | {shown} | {row['regret']:.4f} |")
    rounds = min(row["rounds"] for row in document["simulated"])
    sentence = (
        f"{rounds} tables per row or more, 0.9 claimed; counting error {(0.09 / rounds) ** 0.5:.2f} or less. Regret is "
        "the extra loss of the mixture found over that of the true best one."
    )
    return "\n".join([*lines, "", sentence]) + "\n"


def entropy_coverage(document: dict[str, Any]) -> str:
    """How often entropy brackets cover, by source and size."""
    rows = document["coverage"]
    sizes = sorted({row["tokens"] for row in rows if row["source"] != "grammar that copies"})
    lines = [f"| source | {' | '.join(f'{size:,} tokens' for size in sizes)} |", "|---" * (len(sizes) + 1) + "|"]
    for source in dict.fromkeys(row["source"] for row in rows):
        cells = []
        for size in sizes if source != "grammar that copies" else [None]:
            some = [row for row in rows if row["source"] == source and size in (None, row["tokens"])]
            held = [row for row in some if row["determined"]]
            right = sum(row["lower"] <= row["entropy"] <= row["top"] for row in held)
            wide = sorted((row["top"] - row["lower"]) / row["entropy"] for row in held)
            cells.append(f"{right} of {len(held)}, width {wide[len(wide) // 2]:.1%}" if held else "not determined")
        cells += [""] * (len(sizes) - len(cells))
        lines.append(f"| {source} | {' | '.join(cells)} |")
    blind = [row for row in rows if row["source"] == "exclusive or, 20 back"]
    seen = [row for row in rows if row["determined"] and row["source"] != "exclusive or, 20 back"]
    right = sum(row["lower"] <= row["entropy"] <= row["top"] for row in seen)
    below = sum(row["upper"] < row["entropy"] for row in rows)
    far = [row for row in rows if not row["determined"] and row["extrapolated"]]
    out = [row for row in far if not row["extrapolated"][0] <= row["entropy"] <= row["extrapolated"][1]]
    far_right, halved = len(far) - len(out), sum(row["extrapolated"][0] < row["entropy"] / 2 for row in far)
    by = {name: sum(row["source"] == name for row in out) for name in dict.fromkeys(row["source"] for row in out)}
    missed = ", ".join(f"{name} missed {n}" for name, n in by.items()) or "none missed"
    sentence = (
        f"Cells: how many of the given brackets contain the entropy, and their median relative width; 90 % claimed. "
        f"{right} of {len(seen)} contain it where n-grams can see all structure. Of the other sources only the "
        "exclusive or "
        f"20 back got a bracket, wrong {len(blind)} times of {len(blind)}, because its assumption is wrong there. The "
        f"upper bound was below the entropy in {below} of {len(rows)} cases (10 % claimed). Extrapolations, printed "
        "where "
        f"there is no bracket, contained the entropy in {far_right} of {len(far)} such cases; {halved} of them "
        f"reached below half of the entropy, which says little. By source: {missed}."
    )
    return "\n".join([*lines, "", *wrapped(sentence)]) + "\n"


def predicted_exponents(document: dict[str, Any]) -> str:
    """Exponents that texts predict, against measured ones."""
    head = "| corpus | correlations | predicted | over the choices | H_inf free | n-gram, last doublings "
    lines = [head + "|", "|---" * 6 + "|"]
    over = []
    for row in document["predict"]:
        kind = {"none": "none above the noise", "too few lags": "at too few distances"}.get(row["kind"], row["kind"])
        some = row["exponent"] is not None
        cells = [f"{kind}, beta {row['beta']:.2f}" if some else kind]
        cells += [f"{row['exponent']:.3f}", "{:.2f} to {:.2f}".format(*row["interval"])] if some else ["none", ""]
        cells.append("{:.2f} to {:.2f}".format(*row["free"]) if some else "")
        cells.append(", ".join(f"{value:.3f}" for value in row["n_gram"]))
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
        if some:
            over.append((row["name"], row["exponent"] / row["n_gram"][-1], row["interval"], row["n_gram"][-1]))
    inside = sum(low <= measured <= high for _, _, (low, high), measured in over)
    ratios = ", ".join(f"{ratio:.1f} ({name})" for name, ratio, _, _ in over)
    text = (
        f"Predicted over measured exponent on the n-gram's last doubling: {ratios}. The measured one lies in the "
        "range over "
        f"the choices {inside} times of {len(over)}; that says more about the range than about the theory."
    )
    return "\n".join([*lines, "", *wrapped(text), "", *_ladders(document)]) + "\n"


def _ladders(document: dict[str, Any]) -> list[str]:
    """What transformers measured on the same texts, against what the texts predicted."""
    predicted = {row["name"]: row for row in document["predict"]}
    head = "| corpus | recipe | predicted | beta, all sizes | beta, N from 45k | largest model, last doublings of D |"
    lines = [head, "|---" * 6 + "|"]
    last: dict[str, list[float]] = {}
    for row in document["ladders"]:
        text = predicted.get(row["name"], {"exponent": None})
        if text["exponent"] is not None:
            sentence = "{:.2f} ({:.2f} to {:.2f})".format(text["exponent"], *text["interval"])
        else:
            exact = [f"{value:.2f}" for value in row.get("predicted", [])]
            sentence = f"{', '.join(exact)} (unseen mass)" if exact else "none"
        cells = [f"{fit['beta']:.2f} [{fit['lower']:.2f}, {fit['upper']:.2f}]" for fit in row["fits"]]
        cells.append(", ".join(f"{value:.2f}" for value in row["largest"]["exponents"]))
        recipe = row["recipe"] if "-" in row["recipe"] else f"{row['recipe']}-adamw"
        lines.append(f"| {row['name']} | {recipe} | {sentence} | {' | '.join(cells)} |")
        if text["exponent"] is not None:
            family = {"gpt2": "GPT-2", "llama": "Llama"}[row["recipe"].split("-")[0]]
            last.setdefault(family, []).append(text["exponent"] / row["largest"]["exponents"][-1])
    ratios = "; ".join(f"{min(some):.2f} to {max(some):.2f} for {family} shapes" for family, some in last.items())
    text_ = (
        f"Predicted from text over measured on the largest model's last doubling: {ratios}. Beta is Chinchilla's with "
        "E fixed at H_inf, 90 % intervals; where it falls when the small sizes are left out, those sizes and not the "
        "data determine it. H_inf is 0, except for the Markov source, where it is the known entropy: its correlations "
        "fall "
        "exponentially, so no exponent follows from them. For facts the prediction is that of Zipf's theory at the "
        "same D."
    )
    return [*lines, "", *wrapped(text_)]


#: By page and marker: what renders the measured part, and the files in results/ that it takes.
PAGES: dict[str, dict[str, tuple[Callable[..., str], tuple[str, ...]]]] = {
    "README.md": {"peers": (peers, ("fit", "forecast", "stopping", "training"))},
    "docs/benchmarks.md": {
        "fit": (speed, ("fit",)),
        "parts": (parts, ("fit",)),
        "optimum": (optimum, ("optimum",)),
        "laws": (law_tables, ("laws",)),
    },
    "docs/uncertainty.md": {
        "coverage": (coverage, ("coverage",)),
        "narrow": (narrow, ("narrow",)),
        "shared noise": (shared_noise, ("shared_noise",)),
        "falling noise": (falling_noise, ("falling_noise",)),
    },
    "docs/training.md": {"training": (training, ("training",))},
    "docs/stopping.md": {
        "forecast errors": (forecast_errors, ("stopping",)),
        "bands": (bands, ("stopping",)),
        "alarms": (alarms, ("stopping",)),
        "form": (form, ("stopping_form",)),
        "priors": (priors, ("../../scalefit/stopping/_priors",)),
        "fine-tunes": (fine_tunes, ("finetunes",)),
        "repeated": (repeated, ("repeated",)),
    },
    "docs/collect.md": {"collecting": (collecting, ("collecting",))},
    "docs/others.md": {"others": (others, ("others", "forecast"))},
    "docs/hyperparameters.md": {"hyperparameters": (hyperparameters, ("hyperparameters",))},
    "docs/recipes.md": {
        "public": (recipes_public, ("recipes",)),
        "muon": (recipes_muon, ("recipes",)),
        "recipes": (recipes, ("recipes",)),
        "uneven": (recipes_uneven, ("recipes",)),
    },
    "docs/downstream.md": {
        "story": (downstream_story, ("downstream",)),
        "downstream": (downstream, ("downstream",)),
        "downstream_few": (downstream_few, ("downstream",)),
    },
    "docs/mixture.md": {
        "mixture_story": (mixture_story, ("mixture",)),
        "mixture_tables": (mixture_tables, ("mixture",)),
        "mixture_simulated": (mixture_simulated, ("mixture",)),
    },
    "docs/corpus.md": {
        "coverage": (entropy_coverage, ("exponents",)),
        "exponents": (predicted_exponents, ("exponents",)),
    },
    "docs/theory.md": {"against": (against, ("associative_memory",))},
    "docs/zipf.md": {
        "stores": (zipf_page.stores, ("zipf",)),
        "data": (zipf_page.data, ()),
        "widths": (zipf_page.widths, ()),
        "compared": (zipf_page.compared, ()),
        "laws": (zipf_page.laws, ("zipf",)),
        "held out": (zipf_page.held_out, ("zipf",)),
    },
    "docs/validation.md": {
        "zipf": (zipf_page.verdict, ("zipf",)),
        "exponents": (predicted_exponents, ("exponents",)),
    },
    "docs/planning.md": {
        "repetition": (repetition, ("approaches",)),
        "exponents": (exponents, ("approaches",)),
        "methods": (methods, ("approaches",)),
        "labels": (labels, ("approaches",)),
        "next_runs": (next_runs, ("next_runs",)),
    },
}


def rendered(page: str) -> str:
    """The page with its measured parts made anew."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, (render, files) in PAGES[page].items():
        head, rest = text.split(START.format(name))
        tail = rest.split(END, 1)[1]
        documents = [json.loads((HERE / "results" / f"{file}.json").read_text(encoding="utf-8")) for file in files]
        text = head + START.format(name) + render(*documents) + END + tail
    return text


def main() -> None:
    from forecast_page import page as forecast_page

    forecast = json.loads((HERE / "results" / "forecast.json").read_text(encoding="utf-8"))
    pages = {page: rendered(page) for page in PAGES} | {"docs/forecast.md": forecast_page(forecast)}
    for page, text in pages.items():
        if "--check" in sys.argv and text != (ROOT / page).read_text(encoding="utf-8"):
            raise SystemExit(f"{page} does not show what was measured: run python benchmarks/measured_pages.py")
        (ROOT / page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

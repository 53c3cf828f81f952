"""A downstream fit in words: the take-away first, then the tasks, then the notes."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit import _text
from scalefit._numeric import levelled
from scalefit.downstream.judgement import LEVEL
from scalefit.downstream.models import AVERAGE
from scalefit.errors import Note, arg, way
from scalefit.fitting.printing import note_line
from scalefit.flops import SIZES

#: Sizes below which a note says that there are few (a guess), and rows shown.
_FEW_SIZES = 3
_SHOWN = 12


def notes_of(result: Any) -> list[Note]:
    """What a reader must know of the tasks."""
    models, found = result.models, []
    lead = result.judgements[result.lead]
    if not lead.predictable:
        text = f"{result.lead} cannot be predicted from these models: {lead.reason}."
        if not result.scaling[result.lead].predictable:
            text += " Its interval is the whole range."
        found.append(Note("not_predictable", "error", text, {"task": result.lead}))
    single = [name for name in models.metrics if name != result.lead]
    vague = [name for name in single if result.scaling[name].predictable and not result.judgements[name].predictable]
    if vague:
        text = (
            f"{len(vague)} of {len(single)} tasks follow the loss, but these models do not determine how "
            f"({_listed(vague)}): {way('predict_tasks', '--at')} may know them at less than ten times the compute."
        )
        found.append(Note("not_determined", "warning", text, {"tasks": vague}))
    named = [name for name in single if not result.scaling[name].predictable]
    if named:
        text = (
            f"{len(named)} of {len(single)} tasks cannot be predicted from these models ({_listed(named)}): their "
            "intervals are the whole range. The column reason says why."
        )
        found.append(Note("not_predictable", "warning", text, {"tasks": named}))
    guessed = [name for name, rate in models.chance.items() if rate is None]
    if guessed:
        text = (
            f"The guessing rate of {_listed(guessed)} was not given and is estimated with the curve. Pass "
            f"{arg('chance')} where it is known: tasks at chance are then recognised."
        )
        found.append(Note("chance_estimated", "info", text, {"tasks": guessed}))
    sizes = len(np.unique(levelled(models.inputs["N"]))) if "N" in models.inputs else _FEW_SIZES
    if sizes < _FEW_SIZES:
        text = (
            f"These models have {sizes} sizes, so they do not show whether size and tokens "
            "act on the task through the loss alone. Add a size."
        )
        found.append(Note("few_sizes", "warning", text))
    if not result.approaches.empty:
        approaches = result.approaches.loc[result.approaches.index != AVERAGE] if len(single) else result.approaches
        two, one = float(approaches["two_step"].mean()), float(approaches["one_step"].mean())
        if one < two:
            text = (
                "Predictions of the held-out third directly from N and D were better than those from the loss (mean "
                f"error {one:.3g} against {two:.3g}): try {way('predict_tasks(steps=1)', '--one-step')}."
            )
            found.append(Note("one_step_better", "warning", text, {"one_step": one, "two_step": two}))
    return found


def text(result: Any) -> str:
    """The printed result."""
    models = result.models
    kind = "higher is better" if models.higher else "lower is better"
    single = list(models.metrics)
    able = [name for name in single if result.judgements[name].predictable]
    lines = [
        f"{len(able)} of {len(single)} {'tasks' if len(single) > 1 else 'task'} can be predicted from these "
        f"{len(models.loss)} models ({kind})"
    ]
    ahead = _ahead(result)
    if ahead:
        lines.append(ahead)
    low, high = models.loss.min(), models.loss.max()
    unit = models.conventions.get("loss_unit", "nat/token")
    lines.append(f"Loss {low:.4g} to {high:.4g} [{unit}]; first step: {result.first!r}")
    frame = result.table
    shown = [name for name in frame.index if name == result.lead or frame.loc[name, "predictable"]][:_SHOWN]
    columns = [name for name in ("best", "chance", "scatter", "explained", "two_step", "one_step") if name in frame]
    lines += [
        "",
        frame.loc[shown, columns].to_string(line_width=_text.PAGE, float_format=lambda v: f"{v:.3g}", na_rep="-"),
    ]
    left = len(able) - sum(name in able for name in shown)
    if left > 0:
        lines.append(f"... and {left} more (result.table)")
    named = [name for name in single if not result.judgements[name].predictable]
    if named:
        lines += ["", "Not predictable from these models:"]
        lines += [f"  {name}: {result.judgements[name].reason}" for name in named[:_SHOWN]]
        if len(named) > _SHOWN:
            lines.append(f"  ... and {len(named) - _SHOWN} more (result.table)")
    if len(single) > 1:
        lines.append("For comparison: Lourie et al. (2025) found 39 % of tasks to scale predictably.")
    if result.notes:
        lines += ["", "Notes", *(note_line(note) for note in result.notes)]
    return "\n".join(lines)


def _ahead(result: Any) -> str:
    """The lead task at ten times the most expensive model, its N and D both raised; empty where that is not asked."""
    inputs = result.ahead()
    if not inputs or result.lead not in result.curves:
        return ""
    N, D = (inputs[key] for key in SIZES)
    row = result.predict_interval(**inputs, level=LEVEL).iloc[0]
    ends = f"[{row['lower']:.3g}, {row['upper']:.3g}] ({_text.percent(LEVEL)})"
    sentence = f"{row['loss']:.3g} {ends}"
    if not row["known"]:
        sentence = f"not determined, {ends}" if result.scaling[result.lead].predictable else "not known"
    sizes = f"N {_text.count(N)}, D {_text.count(D)}"
    return f"{result.lead} at ten times the compute of the most expensive model ({sizes}): {sentence}"


def _listed(names: list[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

"""What there is to say about a sweep: cells left out, inputs that hardly varied, luck of the best runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit._typing import AnyArray
from scalefit.errors import Note, arg
from scalefit.tuning.bowl import USUAL_RUNS, Bowls, Model
from scalefit.tuning.cells import Sweep, name_of

#: Fewer cells than this, or an input that varies by less than this factor, determine no law.
_FEWEST_CELLS, _LEAST_SPAN = 4, 2.0
#: Correlation of ln N and ln D from which cells lie on one line and their exponents are not told apart (a guess).
_ONE_LINE = 0.98


def find_notes(
    sweep: Sweep,
    bowls: Bowls,
    model: Model,
    open_for: tuple[str, ...],
    inputs: Mapping[str, tuple[str, ...]],
    used: AnyArray,
) -> list[Note]:
    """Return the notes on a fit; one with severity "error" means that predictions must not be trusted."""
    return [
        *_left_out(sweep, open_for, used),
        *_too_little(sweep, inputs, used),
        *_one_ratio(sweep, inputs, used),
        *_of_noise(model),
        *_of_best_runs(sweep, bowls, open_for),
        _of_shapes(sweep.names, model),
    ]


def _left_out(sweep: Sweep, open_for: tuple[str, ...], used: AnyArray) -> list[Note]:
    unbracketed = [f"{name_of(sweep.N[i], sweep.D[i])} ({why})" for i, why in enumerate(open_for) if why]
    notes = []
    if unbracketed:
        did = (
            "They count by the surface alone"
            if used.all()
            else f"They were left out; {arg('method', 'surface')} uses them"
        )
        text = f"{len(unbracketed)} cells do not bracket their optimum: {_some(unbracketed)}. {did}. Add runs there."
        notes.append(Note("unbracketed", "warning", text, {"cells": unbracketed}))
    if sweep.apart:
        cells = [f"{name_of(N, D)} ({why})" for N, D, _, why in sweep.apart]
        text = f"{len(cells)} cells cannot be used: {_some(cells)}."
        notes.append(Note("cells_apart", "warning", text, {"cells": cells}))
    return notes


def _some(listed: list[str]) -> str:
    return "; ".join(listed[:4]) + (f"; and {len(listed) - 4} more" if len(listed) > 4 else "")


def _too_little(sweep: Sweep, inputs: Mapping[str, tuple[str, ...]], used: AnyArray) -> list[Note]:
    notes = []
    n = int(used.sum())
    if n < _FEWEST_CELLS:
        text = f"{n} cells are too few for laws in N and D: intervals are those of the priors. Add cells."
        notes.append(Note("few_cells", "error", text, {"n_cells": n}))
    for name, values in (("N", sweep.N[used]), ("D", sweep.D[used])):
        span = float(values.max() / values.min())
        depend = [setting for setting, read in inputs.items() if name in read]
        if span < _LEAST_SPAN and depend:
            text = (
                f"{name} varies by a factor of {span:.4g} only, so its exponent is not determined, and the best "
                f"settings at another {name} are open. Add cells at another {name}, or, if you know "
                f"that it does not matter, pass {arg('drop', dict.fromkeys(depend, name))}."
            )
            notes.append(Note("narrow_input", "error", text, {"input": name, "span": span}))
    return notes


def _one_ratio(sweep: Sweep, inputs: Mapping[str, tuple[str, ...]], used: AnyArray) -> list[Note]:
    log_N, log_D = np.log(sweep.N[used]), np.log(sweep.D[used])
    both = [setting for setting, read in inputs.items() if len(read) == 2]
    if not both or min(np.ptp(log_N), np.ptp(log_D)) < np.log(_LEAST_SPAN) or log_N.size < 3:
        return []
    if abs(float(np.corrcoef(log_N, log_D)[0, 1])) < _ONE_LINE:
        return []
    text = (
        "N and D of the cells lie on one line, so only their exponents together are determined: predictions along the "
        "line are reliable, and wide elsewhere. Add cells at another D/N, or drop one of them: "
        f"{arg('drop', {both[0]: 'N'})}."
    )
    return [Note("one_line", "warning", text)]


def _of_noise(model: Model) -> list[Note]:
    if model.freedom > USUAL_RUNS:
        return []
    text = (
        f"No cell has a run to spare, so the noise of a run is not seen; {model.noise:.2g} was taken. Add a fourth "
        "value, or "
        "repeat runs with other seeds."
    )
    return [Note("noise_assumed", "warning", text, {"noise": model.noise})]


def _of_best_runs(sweep: Sweep, bowls: Bowls, open_for: tuple[str, ...]) -> list[Note]:
    rows = np.array([not why for why in open_for])
    if not rows.any():
        return []
    best = np.where(sweep.cells.there, sweep.cells.y, np.inf).min(axis=1)[rows] - bowls.loss[rows]
    off = np.exp(np.sqrt(np.mean((sweep.cells.lowest()[rows] - bowls.best[rows]) ** 2, axis=0)))
    apart = ", ".join(f"{name} by x{factor:.2f}" for name, factor in zip(sweep.names, off, strict=True))
    text = (
        f"The best run of a cell is not its optimum: it misses it ({apart}, root mean square), and its loss is too "
        f"low, because it is partly chosen by luck: on average it is {abs(np.mean(best)):.2g} "
        f"{'below' if np.mean(best) < 0 else 'above'} the fitted lowest loss; without luck it would be above."
    )
    return [Note("best_run", "info", text, {"loss": float(np.mean(best)), "factors": off.tolist()})]


def _of_shapes(names: tuple[str, ...], model: Model) -> Note:
    parts = []
    for name, shape in zip(names, model.shapes, strict=True):
        side = "quadratic" if shape == 0 else f"steeper {'above' if shape > 0 else 'below'} its best"
        parts.append(f"{name} {side}")
    reach = "" if np.isinf(model.reach) else f" Runs {model.reach:.2g} above the optimum count half."
    text = f"Shape of the bowl in logarithms, by evidence: {', '.join(parts)}.{reach}"
    return Note("shape", "info", text, {"shapes": model.shapes.tolist(), "noise": model.noise})

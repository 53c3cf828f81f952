"""From a table to the cells of a sweep: runs of one N and D that differ in their settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._numeric import levelled
from scalefit._text import count, percent
from scalefit._typing import AnyArray, Array
from scalefit.errors import FitError, Note, arg
from scalefit.flops import QUANTITIES
from scalefit.tuning.bowl import Bowls, Cells

if TYPE_CHECKING:
    import pandas as pd

#: Runs this close in N and in D are of one cell: a number of steps is whole, so D is not quite the same.
_SAME, _WIDEST = 0.02, 0.1
#: A run this far above the lowest of its cell says nothing of where the optimum is.
_FAR = 0.1
#: Fewest values of a setting in a cell: two have no lowest point. Values this close [ln] are one.
_FEWEST_VALUES, _SAME_VALUE = 3, 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """A table in cells.

    Attributes
    ----------
    names : tuple of str
        The k settings.
    N, D : ndarray (c,)
        Size [parameters] and tokens [tokens] of each cell.
    cells : Cells
        Runs near the optimum of each.
    n_runs : ndarray (c,)
        Runs of each, those far above its lowest included.
    apart : tuple of (N, D, n_runs, why)
        Cells that cannot be used.
    """

    names: tuple[str, ...]
    N: Array
    D: Array
    cells: Cells
    n_runs: AnyArray
    apart: tuple[tuple[float, float, int, str], ...]


def name_of(N: float, D: float) -> str:
    """A cell as people call it."""
    return f"N={count(N)}, D={count(D)}"


def group(N: Array, D: Array) -> list[AnyArray]:
    """Positions of the runs of each cell, by rising N and then D."""
    found = []
    for rows in _close(np.arange(len(N)), np.log(N)):
        found += _close(rows, np.log(D))
    for rows in found:
        for name, values in (("N", N[rows]), ("D", D[rows])):
            if np.log(values.max() / values.min()) > _WIDEST:
                raise FitError(
                    f"{name} goes from {values.min():.4g} to {values.max():.4g} without a gap, so there are no cells "
                    "of one N and D",
                    "nothing was fitted",
                    (f"round {name}", "give runs that sweep settings at several N and D"),
                )
    return found


def _close(rows: AnyArray, log_values: Array) -> list[AnyArray]:
    order = rows[np.argsort(log_values[rows], kind="stable")]
    return np.split(order, 1 + np.flatnonzero(np.diff(log_values[order]) > _SAME))


def values_of(x: Array) -> int:
    """How many different values there are among logarithms (n,)."""
    return min(len(x), 1 + int((np.diff(np.sort(x)) > _SAME_VALUE).sum()))


def make_sweep(N: Array, D: Array, loss: Array, settings: Mapping[str, Array]) -> Sweep:
    """Put runs into cells, and set those aside in which a setting has fewer than three values.

    Raises
    ------
    FitError
        No cell can be used, or only one.
    """
    names, k = tuple(settings), len(settings)
    x = np.log(np.stack([settings[name] for name in names], axis=1))
    kept, apart = [], []
    for rows in group(N, D):
        near = rows[loss[rows] <= (1 + _FAR) * loss[rows].min()]
        counts = [values_of(x[near, j]) for j in range(k)]
        place = (float(np.median(N[rows])), float(np.median(D[rows])), len(rows))
        few = [f"{n} value{'s' * (n > 1)} of {name}" for name, n in zip(names, counts, strict=True) if n < 3]
        far = f" within {percent(_FAR)} of its lowest loss" if len(near) < len(rows) else ""
        if few:
            apart.append((*place, f"{' and '.join(few)}{far}, where {_FEWEST_VALUES} are needed"))
        elif len(near) < 1 + 2 * k:
            apart.append((*place, f"{len(near)} runs{far}, where {1 + 2 * k} are needed for {k} settings"))
        else:
            kept.append((place, near))
    _refuse(names, len(kept), apart)
    places, used = zip(*kept, strict=True)
    return Sweep(
        names,
        np.array([place[0] for place in places]),
        np.array([place[1] for place in places]),
        Cells.of([x[rows] for rows in used], [loss[rows] for rows in used]),
        np.array([place[2] for place in places]),
        tuple(apart),
    )


def _refuse(names: Sequence[str], n_kept: int, apart: Sequence[tuple[float, float, int, str]]) -> None:
    listed = "; ".join(f"{name_of(*one[:2])}: {one[3]}" for one in apart[:3])
    more = f"; and {len(apart) - 3} more" if len(apart) > 3 else ""
    if not n_kept:
        raise FitError(
            f"No cell of one N and D shows where the best {' and '.join(names)} is ({listed}{more})",
            "nothing was fitted",
            (
                f"give at least {_FEWEST_VALUES} values of each in a cell",
                f"leave a setting that was not swept out of {arg('of')}",
            ),
        )
    if n_kept == 1 and not apart:
        raise FitError(
            "All runs are of one cell of N and D, which does not show how the best settings change with N and D",
            "nothing was fitted",
            "Give sweeps at several N or D",
        )


def why_open(names: Sequence[str], cells: Cells, bowls: Bowls, i: int) -> str:
    """Why the optimum of cell i is not bracketed by its runs; empty where it is."""
    low, high = (ends[i] for ends in cells.ends())
    best = bowls.best[i] if bowls.closed[i] else cells.lowest()[i]
    parts = [] if bowls.closed[i] else ["its losses have no lowest point"]
    for j, name in enumerate(names):
        if best[j] <= low[j]:
            parts.append(f"the best {name} is at or below its smallest value, {np.exp(low[j]):.3g}")
        elif best[j] >= high[j]:
            parts.append(f"the best {name} is at or above its largest value, {np.exp(high[j]):.3g}")
    return " and ".join(parts)


def mixed_notes(frame: pd.DataFrame, N: Array, D: Array, settings: Mapping[str, Array]) -> list[Note]:
    """Name columns in which runs of one cell and one setting differ: such cells hold different models."""
    skipped = {*QUANTITIES, "loss", "weight", *settings}
    others = [c for c, dtype in frame.dtypes.items() if dtype.kind in "iu" and c not in skipped]
    x = np.stack([levelled(np.log(values), _SAME_VALUE, 1.0) for values in settings.values()], axis=1)
    differing: dict[Any, None] = {}
    for rows in group(N, D):
        _, inverse = np.unique(x[rows], axis=0, return_inverse=True)
        inverse = np.ravel(inverse)
        for name in others:
            values = frame[name].to_numpy()[rows]
            if len(np.unique(values)) > 1 and len(np.unique(inverse)) < len(
                np.unique(np.column_stack([inverse, values]), axis=0)
            ):
                differing.setdefault(name)
    if not differing:
        return []
    listed = ", ".join(map(str, list(differing)[:5]))
    text = (
        f"Runs of one N, D and setting differ in {listed}: cells hold several kinds of models, and their best settings "
        f"were taken to be the same. Keep one kind, or name another column as N ({arg('columns', {'N': ...})})."
    )
    return [Note("mixed_cells", "warning", text, {"columns": [str(name) for name in differing]})]

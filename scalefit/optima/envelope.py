"""The envelope of training curves: the best size at each compute (Hoffmann et al. 2022, approach 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from scalefit._arguments import check_count, check_numbers, one_of
from scalefit._calls import explained
from scalefit._numeric import levelled
from scalefit._text import known
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, FitError, Note, arg
from scalefit.fitting.runs import read
from scalefit.flops import SIZES, TRAIN, training_flops
from scalefit.optima.curves import SAME_SIZE, Curve, refuse_several_series
from scalefit.optima.isoflop import optima_of
from scalefit.optima.power_law_fit import PowerLawFit
from scalefit.optima.result import Optima

#: Long curves are averaged in this many bins of ln C: the loss of single steps is noisy.
_BINS = 120
#: Fewest runs of an envelope (a guess: at each compute three curves must run beside each other).
_FEWEST_RUNS = 4
#: Sizes are left out in so many interleaved blocks at most, one block at a time.
_BLOCKS = 12
#: How the optima say which way of finding them was used.
LABELS = {"local": "envelope", "lowest": "envelope, lowest curve"}


@explained
def envelope(
    curves: Any,
    *,
    method: Literal["local", "lowest"] = "local",
    budgets: Any = None,
    n_budgets: int = 64,
    seed: int = 0,
    columns: Mapping[str, Any] | None = None,
) -> Optima:
    """Best size at each compute from training curves, and the power laws through them.

    Parameters
    ----------
    curves : DataFrame, path, or mapping of columns
        One row per measurement: ``run`` (which run; or ``run_id``, ``run_name``; else runs are told apart by N), N
        [parameters], D [tokens seen so far] and loss [nat/token]. A table with several D per N serves as well.
    method : {"local", "lowest"}
        Interpolate across sizes at each compute, or take the size of the lowest curve, as published. The published way
        jumps from size to size.
    budgets : array_like, optional
        Compute at which to find optima [FLOP]; by default `n_budgets` values covered by three curves or more.
    n_budgets : int
        Number of budgets, at least 2.
    seed : int
        Seed of the perturbed copies that give each optimum's error.
    columns : mapping, optional
        Columns by name, ``columns={"N": "params_total"}``, as :func:`scalefit.read_runs` takes them.

    Returns
    -------
    Optima
        As from :func:`scalefit.isoflop`, but with intervals from leaving out sizes in turn, because every curve
        contributes to many budgets.

    Raises
    ------
    FitError
        Fewer than four sizes, or fewer than two budgets with an optimum.
    DataError
        The table cannot be read, or has no usable row.
    ArgumentError
        An unknown method, budgets that are not allowed, or several series.

    Notes
    -----
    Losses from the middle of a run have not been annealed: under a decaying learning rate the curves of longer runs lie
    too high, and the exponents are those of the schedule.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> N, C = np.meshgrid(np.geomspace(1e7, 1e10, 12), np.geomspace(1e17, 1e22, 60), indexing="ij")
    >>> D = C / (6 * N)
    >>> loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    >>> table = {"run": np.repeat(np.arange(12), 60), "N": N.ravel(), "D": D.ravel(), "loss": loss.ravel()}
    >>> round(sf.envelope(table).exponent_N, 2)
    0.51
    """
    if not one_of(method, LABELS):
        raise ArgumentError(
            f"{arg('method', method)} is not a method",
            "nothing was computed",
            known(method, LABELS),
        )
    n_budgets = check_count("n_budgets", n_budgets, least=2)
    from scalefit.tables.runs import name_columns

    table = read(name_columns(curves, columns), SIZES)
    refuse_several_series(table)
    columns = {**table.table, "C": training_flops(table.table["N"], table.table["D"])}
    run = _runs_apart(columns)
    traces = [_trace(columns, table.labels, np.flatnonzero(run == label)) for label in range(int(run.max()) + 1)]
    traces = [trace for trace in traces if trace[1].size >= 2]
    if len(traces) < _FEWEST_RUNS:
        found_runs = "1 run has" if len(traces) == 1 else f"{len(traces)} runs have"
        raise FitError(
            f"{found_runs} two measurements or more; an envelope needs {_FEWEST_RUNS} runs of different size",
            "none was made",
            "Add runs, or rows along each run",
        )
    at = _budgets(traces, budgets, n_budgets)
    notes = tuple(note for note in table.notes if note.code != "inconsistent_compute")
    found = optima_of(_slices(traces, at), method, columns, table.conventions, notes, seed)
    without = _without_sizes(
        traces, lambda rest: optima_of(_slices(rest, at), method, columns, table.conventions, notes, seed, draws=30)
    )
    note = Note(
        "unannealed",
        "info",
        "Losses along a run have not been annealed. Where the learning rate decays over each run's own length, the "
        "exponents are biased towards its schedule: compare with isoFLOP runs.",
    )
    return replace(
        found,
        method=LABELS[method],
        line_N=_widen(found.line_N, [other.line_N for other in without]),
        line_D=_widen(found.line_D, [other.line_D for other in without]),
        notes=(*found.notes, note),
    )


def _runs_apart(columns: Mapping[str, AnyArray]) -> AnyArray:
    """Number (n,) of the run that each measurement is of: by a column that names it, else by N.

    Names other than ``run`` count only where they come again.
    """
    labels: AnyArray = levelled(columns["N"], SAME_SIZE)
    for name in ("run", "run_id", "run_name", "trunk_id", "curve"):
        named = [str(value) for value in columns.get(name, ())]
        if named and (name == "run" or len(set(named)) < len(named)):
            labels = np.array(named)
            break
    return np.asarray(np.unique(labels, return_inverse=True)[1]).ravel()


def _without_sizes(traces: list[Any], optima: Callable[[list[Any]], Optima]) -> list[Optima]:
    """Optima without each block of sizes in turn, the smallest and the largest always kept."""
    sizes = sorted({trace[0] for trace in traces})
    blocks = min(_BLOCKS, len(sizes) - 2)
    found = []
    for block in range(blocks):
        out = set(sizes[1 + block : -1 : blocks])
        try:
            found.append(optima([trace for trace in traces if trace[0] not in out]))
        except FitError:  # too few sizes are left for an exponent, and nothing is known without these
            continue
    return found


def _trace(columns: dict[str, AnyArray], labels: AnyArray, rows: AnyArray) -> tuple[float, Array, Array, Any]:
    """Ln N, ln C and ln loss of one run, binned where it is long, and its first row's label."""
    log_n = float(np.mean(np.log(columns["N"][rows])))
    order = rows[np.argsort(columns["C"][rows], kind="stable")]
    x, y = np.log(columns["C"][order]), np.log(columns["loss"][order])
    if x.size > _BINS:
        bins = np.minimum(((x - x[0]) / max(np.ptp(x), 1e-12) * _BINS).astype(int), _BINS - 1)
    else:
        bins = np.concatenate([[0], np.cumsum(np.diff(x) > 1e-9)])
    bins = np.unique(bins, return_inverse=True)[1]
    count = np.bincount(bins)
    return log_n, np.bincount(bins, weights=x) / count, np.bincount(bins, weights=y) / count, labels[rows[0]]


def _budgets(traces: list[Any], budgets: Any, n: int) -> Array:
    if budgets is not None:
        at = np.unique(check_numbers("budgets", budgets))
        if at.size < 2 or not (np.isfinite(at).all() and (at > 0).all()):
            raise ArgumentError(
                f"{arg('budgets', budgets)} must be two or more different positive numbers [FLOP]",
                "nothing was computed",
                "Leave it out for budgets where three curves or more run",
            )
        return at
    starts, ends = (np.sort([trace[1][side] for trace in traces]) for side in (0, -1))
    low, high = starts[2], ends[-3]
    if high <= low:
        raise FitError(
            "At no compute do three runs have a loss: the curves do not overlap",
            "no envelope was made",
            "Add rows along each run",
        )
    return np.asarray(np.exp(np.linspace(low, high, n)))


def _slices(traces: list[Any], budgets: Array) -> list[Curve]:
    """One curve a budget: the loss of every run that passes through it, by linear interpolation in logarithms."""
    found = []
    for budget in budgets:
        log_c = float(np.log(budget))
        points: dict[float, list[tuple[float, Any]]] = {}
        for log_n, x, y, row in traces:
            if x[0] - 1e-9 <= log_c <= x[-1] + 1e-9:
                points.setdefault(log_n, []).append((float(np.interp(log_c, x, y)), row))
        if not points:
            continue
        sizes = np.array(sorted(points))
        loss = np.array([np.mean([value for value, _ in points[size]]) for size in sizes])
        labels = [tuple(row for _, row in points[size]) for size in sizes]
        found.append(Curve(float(budget), sizes, loss, log_c - np.log(TRAIN) - sizes, labels))
    return found


def _widen(line: PowerLawFit, without: list[PowerLawFit]) -> PowerLawFit:
    """The line with the jackknife's covariance where that is larger: slices share their runs."""
    n = len(without)
    if n < 2:
        return line
    values = np.array(
        [[other.log_value + other.exponent * (line.centre - other.centre), other.exponent] for other in without]
    )
    spread = (n - 1) / n * ((values - values.mean(0)).T @ (values - values.mean(0)))
    cov = spread if spread[1, 1] > line.cov[1, 1] else line.cov
    return replace(line, cov=np.asarray(cov), n=min(line.n, n + 2))

"""sf.fit_hyperparameters: the best settings of each cell of a sweep, and how they change with N and D."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import check_level, check_mapping, one_of
from scalefit._calls import explained
from scalefit._numeric import levelled
from scalefit._text import known
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, DataError, FitError, Note, arg
from scalefit.fitting.runs import Runs, read
from scalefit.flops import SIZES
from scalefit.tuning.bowl import fit_bowls
from scalefit.tuning.cells import Sweep, group, make_sweep, mixed_notes, name_of, values_of, why_open
from scalefit.tuning.result import METHODS, Hyperparameters
from scalefit.tuning.settings import SETTINGS, BatchUnit, check_settings, find_setting, missing_setting, unit_of_batch

if TYPE_CHECKING:
    import pandas as pd

#: Columns of one name whose ranks agree so well are the same loss, read or averaged in two ways.
_SAME_LOSS = 0.95
#: The settings that are asked for where none is named, and the values of one in a cell that show its bowl.
_USUAL, _VALUES = ("lr", "batch_size"), 3
_ABSENT = "the table has no column of it"


@explained
def fit_hyperparameters(
    runs: Any,
    of: Any = None,
    *,
    method: str = "cells",
    drop: Mapping[str, Any] | None = None,
    batch_unit: str | None = None,
    T_max: float | str | None = None,
    level: float = 0.9,
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, str] | None = None,
) -> Hyperparameters:
    """Find the best learning rate, batch and other settings from a sweep, and laws of them in N and D.

    Runs with the same N and D form a cell. Its optimum is the lowest point of a bowl fitted over the logarithms of the
    settings, not its best run, whose loss is low partly by luck. Power laws in N and D are fitted to the optima,
    weighted by their errors plus the scatter of the optima beyond them.

    Parameters
    ----------
    runs : DataFrame, path, or mapping of columns
        Runs with N [parameters], D [tokens], loss [nat/token] and a column for each setting.
    of : str or sequence of str, optional
        The settings: ``lr``, ``batch_size``, ``weight_decay``, ``warmup`` by their usual column names, or any positive
        column; by default the learning rate and the batch size, as far as the table sweeps them. Other known settings
        that vary within the cells are fitted too, because the best value of one depends on the others.
    method : {"cells", "surface"}
        ``"cells"``: laws through the optima of the cells whose runs bracket them. ``"surface"``: one surface over all
        cells; the optimum of a cell that does not bracket it then follows from the bowls of the others, with a wide
        error.
    drop : mapping, optional
        Inputs that a setting does not depend on: ``{"batch_size": "N"}``.
    batch_unit : {"sequences", "tokens"}, optional
        Unit of the batch. By default the column's name or its values decide, and a note says so.
    T_max : float, optional
        Tokens per sequence [tokens], to report a batch in sequences in tokens too; by default the column T_max.
    level : float
        Coverage of the intervals.
    columns, inputs : mapping, optional
        Columns of N, D and loss, and of settings, by name: ``columns={"loss": "smooth loss"}``,
        ``inputs={"lr": "config.optim.lr"}``.

    Returns
    -------
    Hyperparameters
        ``optima`` (one row per cell), ``laws`` (one row per setting), ``predict(N=, D=)``, ``penalty(lr=, N=, D=)``,
        ``plot()``, ``notes``, ``trusted`` and more.

    Raises
    ------
    ArgumentError
        An argument is not allowed.
    DataError
        A column is missing or holds no numbers.
    FitError
        No cell has three values of each setting, there is only one cell, or no cell brackets its optimum.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> N, D, step = (a.ravel() for a in np.meshgrid([5e7, 1e8, 2e8], [2e9, 8e9, 3e10], range(5)))
    >>> best = 1.79 * N**-0.713 * D**0.307
    >>> lr = 2e-3 * 2.0 ** (np.round(np.log2(best / 2e-3)) + step - 2)
    >>> loss = 2 + 400 * N**-0.35 + 0.03 * np.log(lr / best) ** 2
    >>> loss += 0.001 * np.random.default_rng(0).standard_normal(N.size)
    >>> hp = sf.fit_hyperparameters({"N": N, "D": D, "lr": lr, "loss": loss}, of="lr")
    >>> row = hp.predict(N=4e8, D=6e10).iloc[0]
    >>> bool(row["lr_lower"] < 1.79 * 4e8**-0.713 * 6e10**0.307 < row["lr_upper"])
    True
    """
    level = check_level(level)
    if not one_of(method, METHODS):
        raise ArgumentError(f"{arg('method', method)} is not known", "nothing was fitted", known(method, METHODS))
    frame, table, doubled = _read(runs, columns)
    N, D, loss = table.columns["N"], table.columns["D"], table.loss
    named = check_mapping("inputs", inputs, "{'lr': 'config.lr'}")
    names, unswept = (check_settings(of), []) if of is not None else _swept(frame, group(N, D), named)
    found, dropped = _found(frame, names, named)
    keep = np.all([np.isfinite(values) & (values > 0) for _, values in found.values()], axis=0)
    notes = (
        doubled + unswept + [note for note in table.notes if note.severity != "info"] + _set_aside(frame, keep, found)
    )
    if not keep.any():
        raise DataError("No run has a positive value of every setting", "nothing was fitted", "Correct the columns")
    found = {name: (column, values[keep]) for name, (column, values) in found.items()}
    dropped = {name: values[keep] for name, values in dropped.items()}
    frame, N, D, loss = frame[keep], N[keep], D[keep], loss[keep]
    names, more = _varied(found, dropped, names, group(N, D))
    notes += more
    unit, more = _unit(frame, found, names, batch_unit, T_max)
    notes += more
    settings = {name: found[name][1] for name in names}
    notes += mixed_notes(frame, N, D, settings)
    sweep = make_sweep(N, D, loss, settings)
    model, bowls = fit_bowls(sweep.cells)
    open_for = tuple(why_open(names, sweep.cells, bowls, i) for i in range(len(sweep.N)))
    _refuse_open(sweep, open_for, method)
    return Hyperparameters(
        sweep=sweep,
        model=model,
        bowls=bowls,
        open_for=open_for,
        inputs=_inputs(names, drop),
        method=method,
        level=level,
        batch=unit,
        params=str(table.conventions.get("params", "total")),
        loss_unit=str(table.conventions.get("loss_unit", "nat/token")),
        table_notes=tuple(notes),
    )


def _read(runs: Any, columns: Mapping[str, Any] | None) -> tuple[pd.DataFrame, Runs, list[Note]]:
    """The table as read, with the rows that can be used, what was checked of them, and what there is to say of it."""
    import pandas as pd

    from scalefit.tables.runs import read_for_fit

    notes: list[Note] = []
    if isinstance(runs, pd.DataFrame):
        runs, notes = _one_loss(runs)
    if isinstance(runs, pd.DataFrame) and "scalefit" in runs.attrs and not columns:
        frame = runs
    else:
        frame = read_for_fit(runs, columns=columns)
    if not frame.index.is_unique:  # tables put together have rows of one label
        stated = dict(frame.attrs)
        frame = frame.reset_index(drop=True)
        frame.attrs = stated
    if "series" in frame and frame["series"].nunique() > 1:
        listed = ", ".join(map(str, frame["series"].unique()[:6]))
        raise FitError(
            f"The table holds {frame['series'].nunique()} series ({listed}), whose best settings may differ",
            "nothing was fitted",
            "Give one series at a time",
        )
    table = read(frame, SIZES)
    return frame.loc[table.labels], table, notes


def _one_loss(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Note]]:
    """The last of several columns named loss that tell the same, as a smoothed one does; others are left alone."""
    at = [i for i, name in enumerate(frame.columns) if name == "loss"]
    if len(at) < 2:
        return frame, []
    values = frame.iloc[:, at]
    if not all(dtype.kind == "f" for dtype in values.dtypes) or np.nanmin(values.corr(method="spearman")) < _SAME_LOSS:
        return frame, []
    kept = frame.iloc[:, [i for i in range(frame.shape[1]) if i not in at[:-1]]]
    text = (
        f"The table has {len(at)} columns named loss, which rank the runs nearly alike; the last was taken. Keep one."
    )
    return kept, [Note("two_losses", "warning", text)]


def _swept(frame: pd.DataFrame, cells: list[AnyArray], asked: Mapping[str, Any]) -> tuple[tuple[str, ...], list[Note]]:
    """The settings that some cell sweeps, those of `_USUAL` before others; a note on one of these that is left out."""
    why = {}
    for name in SETTINGS:
        try:
            one = find_setting(frame, name, asked.get(name))
        except DataError as error:
            why[name] = error.seen
            continue
        values = np.full(len(frame), np.nan) if one is None else np.where(one[1] > 0, one[1], np.nan)
        counts = [values_of(np.log(some[~np.isnan(some)])) for some in (values[rows] for rows in cells)]
        if one is None:
            why[name] = _ABSENT
        elif max(counts) < _VALUES:
            why[name] = f"no cell of one N and D has {_VALUES} values of it (the most is {max(counts)})"
    swept = [name for name in SETTINGS if name not in why]
    names = tuple(name for name in _USUAL if name in swept) or tuple(swept)
    left = [name for name in _USUAL if name in why]
    if not names:  # reading or fitting the first that is there says why nothing can be fitted
        there = [name for name in _USUAL if why[name] != _ABSENT]
        return tuple(there[:1]) or _USUAL[:1], []
    return names, [Note("left_out", "info", f"{name} was left out: {why[name]}.", {"setting": name}) for name in left]


def _found(
    frame: pd.DataFrame, names: tuple[str, ...], asked: Mapping[str, Any]
) -> tuple[dict[str, tuple[str, Array]], dict[str, Array]]:
    """Column and values of each setting asked for, and of the other known ones; values of those not all positive."""
    found: dict[str, tuple[str, Array]] = {}
    for name in dict.fromkeys((*names, *SETTINGS)):
        try:
            one = find_setting(frame, name, asked.get(name))
        except DataError:
            if name in names or name in asked:
                raise
            continue  # words in a column that nobody asked for: what tells runs of a cell apart is noted below
        if one is not None and one[0] not in {column for column, _ in found.values()}:
            found[name] = one
        elif name in names:
            raise missing_setting(name, frame)
    unknown = [name for name in asked if name not in found]
    if unknown:
        raise ArgumentError(
            f"{arg('inputs')} names {unknown[0]!r:.40}, which is not a setting of this fit",
            "nothing was fitted",
            f"Name it in {arg('of')} too",
        )
    others = [name for name in found if name not in names]
    bad = [name for name in others if not (np.isfinite(found[name][1]) & (found[name][1] > 0)).all()]
    return found, {name: found.pop(name)[1] for name in bad}


def _set_aside(frame: pd.DataFrame, keep: AnyArray, found: Mapping[str, Any]) -> list[Note]:
    rows = [str(row) for row in frame.index[~keep]]
    if not rows:
        return []
    text = f"{len(rows)} runs without a positive {' or '.join(found)} were set aside (rows {', '.join(rows[:5])}"
    return [Note("set_aside", "warning", text + (", ...)." if len(rows) > 5 else ")."), {"n_rows": len(rows)})]


def _varied(
    found: Mapping[str, tuple[str, Array]],
    dropped: Mapping[str, Array],
    names: tuple[str, ...],
    cells: list[AnyArray],
) -> tuple[tuple[str, ...], list[Note]]:
    """The settings to fit: those asked for, and known ones that vary as much; notes on the latter."""
    notes, all_names = [], list(names)
    counts = {name: [values_of(np.log(values[rows])) for rows in cells] for name, (_, values) in found.items()}
    still = [name for name in names if max(counts[name]) < 3]
    if still:
        most = max(counts[still[0]])
        raise FitError(
            f"No cell of one N and D has three values of {still[0]} (the most is {most}, over {len(cells)} cells), so "
            "they do not show its best value",
            "nothing was fitted",
            (f"leave it out of {arg('of')}", "give cells that sweep it"),
        )
    for name in [name for name in found if name not in names]:
        n_swept = sum(n >= 3 for n in counts[name])
        if 2 * n_swept >= len(cells):
            all_names.append(name)
            text = (
                f"{name} varies within the cells too, and the best of one setting depends on the others: it was fitted."
            )
            notes.append(Note("fitted_along", "info", text, {"setting": name}))
        elif max(counts[name]) > 1:
            text = (
                f"{name} takes several values in {sum(n > 1 for n in counts[name])} of {len(cells)} cells, too few to "
                "fit it: it counts as noise. Keep runs of one value of it."
            )
            notes.append(Note("varies_too", "warning", text, {"setting": name}))
    for name, values in dropped.items():
        n_several = sum(len(np.unique(levelled(values[rows]))) > 1 for rows in cells)
        if n_several:
            text = (
                f"{name} takes several values in {n_several} of {len(cells)} cells, and is 0 or missing in some runs, "
                "which have no logarithm to fit: it counts as noise. Keep runs of one value of it."
            )
            notes.append(Note("varies_too", "warning", text, {"setting": name}))
    return tuple(all_names), notes


def _unit(
    frame: pd.DataFrame, found: Mapping[str, tuple[str, Array]], names: tuple[str, ...], asked: Any, T_max: Any
) -> tuple[BatchUnit | None, list[Note]]:
    """The unit of the batch, where there is one."""
    if "batch_size" not in names:
        if asked is not None:
            raise ArgumentError(
                f"{arg('batch_unit', asked)} and there is no batch_size among the settings",
                "nothing was fitted",
                "Leave it out",
            )
        return None, []
    column, values = found["batch_size"]
    length = find_setting(frame, "T_max") if T_max is None else None
    if length is not None and values_of(np.log(length[1])) == 1:
        T_max, length = float(length[1][0]), None
    unit, notes = unit_of_batch(column, values, asked, T_max)
    if length is not None and unit.unit == "sequences":
        raise DataError(
            f"Column {length[0]!r} has several context lengths, so a batch in sequences is not one in tokens",
            "nothing was fitted",
            ("give the batch in tokens", "give runs of one context"),
        )
    return unit, notes


def _refuse_open(sweep: Sweep, open_for: tuple[str, ...], method: str) -> None:
    bracketed = [i for i, why in enumerate(open_for) if not why]
    left = [(i, why) for i, why in enumerate(open_for) if why]
    listed = "; ".join(f"{name_of(sweep.N[i], sweep.D[i])}: {why}" for i, why in left[:3])
    if not bracketed:
        raise FitError(
            f"No cell brackets its optimum ({listed}), so the best settings lie beyond those that were tried",
            "nothing was fitted",
            "Add runs on that side",
        )
    if len(sweep.N) < 2 or (len(bracketed) < 2 and method == "cells"):
        listed = listed or "; ".join(f"{name_of(*one[:2])}: {one[3]}" for one in sweep.apart[:3])
        how = () if len(sweep.N) < 2 else (f"pass {arg('method', 'surface')}, which uses all cells",)
        raise FitError(
            f"One cell alone ({name_of(sweep.N[bracketed[0]], sweep.D[bracketed[0]])}) shows its optimum ({listed}), "
            "which says nothing of how the best settings change with N and D",
            "nothing was fitted",
            ("add runs there", *how),
        )


def _inputs(names: tuple[str, ...], drop: Any) -> dict[str, tuple[str, ...]]:
    """Which of N and D each setting may depend on."""
    dropped = check_mapping("drop", drop, "{'batch_size': 'N'}")
    kept = {}
    for name in names:
        out = dropped.pop(name, ())
        out = (out,) if isinstance(out, str) else out
        if not isinstance(out, (tuple, list, set)) or not set(out) <= set(SIZES):
            raise ArgumentError(
                f"{arg('drop', {name: out})} drops neither N nor D", "nothing was fitted", "Name one of them"
            )
        kept[name] = tuple(one for one in SIZES if one not in out)
    if dropped:
        raise ArgumentError(
            f"{arg('drop')} names {next(iter(dropped))!r:.40}, which is not a setting of this fit",
            "nothing was fitted",
            known(next(iter(dropped)), names),
        )
    return kept

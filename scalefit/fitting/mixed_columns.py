"""Columns that a law does not read but that explain its residuals: recipes, optimizers, bits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit._numeric import levelled, means_differ, settings
from scalefit._typing import AnyArray, Array
from scalefit.errors import Note, arg, way
from scalefit.fitting.identifiability import HYPERPARAMETERS
from scalefit.flops import QUANTITIES, SIZES
from scalefit.laws._base import Law

#: Chance of a false alarm, divided among the tests, and share of the variance that must be explained, of all residuals
#: or of those at one setting: with thousands of runs a difference that matters to nobody has a tiny p (both choices).
_CHANCE, _SHARE = 0.01, 0.3
#: Values of a column of numbers up to which they are kinds, and rows that a kind needs.
_MOST_KINDS, _LEAST_ROWS = 12, 3
#: Columns that name a recipe, whatever the residuals say.
RECIPES = frozenset(
    "family source optimizer optimiser dataset corpus data_mix mixture schedule lr_schedule arch architecture "
    "model_type model_family tokenizer recipe organization organisation".split()
)
#: What a table knows of a run's size and result; whatever is computed from them explains nothing new.
_MEASURED = frozenset("n d c loss weight series unique_tokens epochs tokens_per_param ratio seed".split())


def unread_sizes(law: type[Law], columns: Mapping[str, AnyArray]) -> list[Note]:
    """Say that runs of the same inputs differ in N or D, which the law does not read: they are not replicates.

    By a law of N alone or D alone such runs differ as much as their other size matters. By one of C they differ as much
    as the balance of N and D does, which is little near the best balance.
    """
    inputs = [key for key in law.inputs if key in columns]
    unread = [key for key in SIZES if key not in law.inputs and key in columns]
    if not unread or not set(law.inputs) & set(QUANTITIES):
        return []
    group, apart = settings(columns[key] for key in inputs), settings(columns[key] for key in (*inputs, *unread))
    several = int((np.bincount(np.unique(np.column_stack([group, apart]), axis=0)[:, 0]) > 1).sum())
    if not several:
        return []
    given, others = " and ".join(inputs), " and ".join(unread)
    of_compute = "C" in law.inputs
    do = (
        f"For the law of the best runs keep the best of each C: runs.loc[runs.groupby({inputs})['loss'].idxmin()]."
        if of_compute
        else f"Fit a law of N and D, such as chinchilla, or keep the runs of one {others}."
    )
    text = (
        f"Runs of the same {given} differ in {others}, which {law.name} does not read, in {several} of "
        f"{int(group.max()) + 1} settings. The law describes the middle of these runs. {do}"
    )
    return [Note("unread_size", "info" if of_compute else "warning", text, {"columns": unread, "settings": several})]


def mixed_notes(law: type[Law], columns: Mapping[str, AnyArray], residuals: Array) -> list[Note]:
    """Name the columns between whose values the residuals differ, and say what to pass.

    One-way analysis of variance of the residuals by each column of words, or of few numbers, that the law does not
    read, and one of the differences between runs of the same settings, in which the law's own misfit has no part. Runs
    that differ in such a column are not replicates of each other.

    Parameters
    ----------
    law : type of Law
        The law that was fitted.
    columns : mapping of str to ndarray (n,)
        Every column of the runs.
    residuals : ndarray (n,)
        Residuals of the fit.
    """
    tested, notes = {}, []
    for name, column in columns.items():
        if name in law.inputs or name.lower() in _MEASURED | HYPERPARAMETERS or name == law.target.name:
            continue
        kinds = _kinds(column)
        nested = "" if kinds is None else _nested(law, columns, kinds)
        if kinds is not None and not nested:
            tested[name] = kinds
        elif kinds is not None and name.lower() in RECIPES and nested in QUANTITIES:
            means = {str(kind): float(residuals[kinds == kind].mean()) for kind in np.unique(kinds)}
            notes.append(_note(law, name, means, nested))
    for name, kinds in tested.items():
        chance = _CHANCE / (2 * len(tested))
        gap, means = _differ(kinds, residuals, chance), _means(kinds, residuals)
        if gap is None:
            inputs = [np.asarray(columns[key], float) for key in law.inputs if key in columns]
            gap = _differ_within(kinds, residuals, inputs, chance)
        if gap is not None:
            notes.append(_note(law, name, means, "", gap))
    return notes


def _kinds(column: AnyArray) -> AnyArray | None:
    """Kinds (n,) as text; None for what has one kind, or nearly one for each run."""
    if column.dtype.kind in "iuf":
        values = column.astype(float)
        if not np.isfinite(values).all() or np.unique(levelled(values)).size > _MOST_KINDS:
            return None
        kinds = np.array([f"{value:g}" for value in levelled(values).tolist()])
    else:
        kinds = np.array([str(value) for value in column.tolist()])
    _, counts = np.unique(kinds, return_counts=True)
    return kinds if (counts >= _LEAST_ROWS).sum() >= 2 and 2 * counts.size <= kinds.size else None


def _nested(law: type[Law], columns: Mapping[str, AnyArray], kinds: AnyArray) -> str:
    """Name of an input that fixes the kind, or is fixed by it, as N fixes the layers and a trunk its N; "" for none.

    Such a column may only trace the law's own misfit, or noise that runs of one size share.
    """
    for name in (*law.inputs, *SIZES):
        if name in columns:
            pairs = set(zip(settings([columns[name]]).tolist(), kinds.tolist(), strict=True))
            if len(pairs) in (len({value for value, _ in pairs}), len({kind for _, kind in pairs})):
                return name
    return ""


def _means(kinds: AnyArray, residuals: Array) -> dict[str, float]:
    """Mean residual of each kind that has enough rows."""
    names, at, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    return {str(names[i]): float(residuals[at == i].mean()) for i in np.flatnonzero(counts >= _LEAST_ROWS)}


def _differ(kinds: AnyArray, residuals: Array, chance: float) -> float | None:
    """Gap between the highest and the lowest mean residual of a kind, where they clearly differ."""
    means = _means(kinds, residuals)
    groups = [residuals[kinds == kind] for kind in means]
    rows = np.concatenate(groups)
    between = sum(group.size * (group.mean() - rows.mean()) ** 2 for group in groups)
    total = float(((rows - rows.mean()) ** 2).sum())
    p = means_differ(groups)
    return max(means.values()) - min(means.values()) if p < chance and between > _SHARE * total else None


def _differ_within(kinds: AnyArray, residuals: Array, inputs: list[Array], chance: float) -> float | None:
    """Typical gap between kinds at the same inputs (n,), where it is clear: one, or a line in the inputs."""
    places = np.stack([np.log(value) if (value > 0).all() else value for value in inputs], axis=1)
    setting = settings(inputs)
    names, at = np.unique(kinds, return_inverse=True)
    seen = np.zeros((setting.max() + 1, names.size), bool)
    seen[setting, at] = True
    kept = seen.sum(axis=1)[setting] > 1
    if not kept.any():
        return None
    _, setting = np.unique(setting[kept], return_inverse=True)
    line = np.column_stack([np.ones(setting.size), places[kept] - places[kept].mean(axis=0)])
    design = ((at[kept, None] == np.arange(names.size))[:, :, None] * line[:, None]).reshape(setting.size, -1)
    table = np.column_stack([residuals[kept], design])
    sums = np.zeros((setting.max() + 1, table.shape[1]))
    np.add.at(sums, setting, table)
    table -= (sums / np.bincount(setting)[:, None])[setting]
    y, design = table[:, 0], table[:, 1:] / np.maximum(np.abs(table[:, 1:]).max(axis=0), 1e-300)
    slopes, _, rank, _ = np.linalg.lstsq(design, y, rcond=1e-9)
    fitted = design @ slopes
    spare, total = y.size - len(sums) - int(rank), float(y @ y)
    left = max(float(((y - fitted) ** 2).sum()), 1e-300)
    if spare < _LEAST_ROWS or total <= left:
        return None
    from scipy.special import fdtrc

    p = float(fdtrc(rank, spare, (total - left) / rank / (left / spare)))
    return 2 * float(np.sqrt(np.mean(fitted**2))) if p < chance and total - left > _SHARE * total else None


def _note(law: type[Law], name: str, means: Mapping[str, float], nested: str, gap: float | None = None) -> Note:
    low, high = min(means, key=lambda kind: means[kind]), max(means, key=lambda kind: means[kind])
    gap = means[high] - means[low] if gap is None else gap
    shown = f"{100 * gap:.2g} %" if law.target.on == "log_loss" else f"{gap:.2g}"
    open_ = f" {name} goes with {nested}, so the runs do not separate the two effects." if nested else ""
    text = (
        f"Runs differ by {name}, which {law.name} does not read: {high} and {low} are {shown} apart around one law. "
        f"All were fitted together, so runs of the same settings are not replicates.{open_} Keep the rows of one "
        f"{name}, read the table with {arg('series', name)} and fit with {arg('by', 'series')}, or "
        f"compare them with {way('sf.compare_recipes', 'scalefit compare-recipes')}."
    )
    return Note("mixed_runs", "warning", text, {"column": name, "means": dict(means)})

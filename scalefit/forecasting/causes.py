"""What makes forecasts miss, tested on the training runs: mixed recipes, untuned settings, repeats, tiny models.

Each test gives a note. Where a column explains part of the runs' residuals, a larger run's recipe is as unknown as the
runs' was: the spread between recipes is then part of every interval.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from scalefit._names import NON_EMBEDDING_NAMES, SHAPE_NAMES, VOCABULARY_NAMES
from scalefit._numeric import levelled, means_differ, rank_correlation
from scalefit._text import count, shortlist
from scalefit._typing import AnyArray, Array
from scalefit.errors import Note, arg, way
from scalefit.fitting.mixed_columns import RECIPES
from scalefit.flops import SIZES
from scalefit.tables.columns import plain_name

#: Chance of a false alarm of each test, divided among the columns tested (a convention).
_CHANCE = 0.01
#: Settings of training that are numbers.
_SETTINGS = frozenset(
    "lr learning_rate max_lr peak_lr bs batch batch_size global_batch_size tokens_per_batch warmup warmup_steps "
    "weight_decay wd beta2 momentum dropout".split()
)
_RATES = frozenset("lr learning_rate max_lr peak_lr".split())
#: Rows that a value of a label, and runs that a rank correlation, must have (guesses: fewer show nothing).
_LEAST_ROWS, _LEAST_RUNS = 3, 8
#: Share of embeddings in the middle model from which N is better counted without them: that halved the error at 30 and
#: 100 times the compute where they are .54 to .63, changed little at .40 to .44, and raised it a little at .33 and less
#: (benchmarks/forecast_causes.py). Where no column tells the share: the size [parameters] below which it is likely.
_MUCH, _MOSTLY_EMBEDDINGS = 0.4, 5e7
#: Factor in N over which one learning rate for all is unlikely to be the best of each (a guess).
_WIDE_RANGE = 10.0


def cause_notes(columns: Mapping[str, AnyArray], left: Array, params: str) -> tuple[list[Note], float]:
    """Notes on what may make a forecast miss, and the spread between recipes.

    Parameters
    ----------
    columns : mapping of str to ndarray (n,)
        Every column of the runs, labels included.
    left : ndarray (n,)
        What the forecast leaves of each run [log loss].
    params : str
        What N counts.

    Returns
    -------
    notes : list of Note
    spread : float
        Standard deviation between recipes [log loss]; 0 where no column explains the residuals.
    """
    notes: list[Note] = []
    spreads = [0.0]
    labels = {key: _strings(column) for key, column in columns.items() if column.dtype.kind in "OUSb"}
    labels = {key: column for key, column in labels.items() if key != "series" and _is_label(column)}
    settings = {
        key: column
        for key, column in _numeric(columns, _SETTINGS).items()
        if np.isfinite(column).all() and (column > 0).all() and column.max() > column.min()
    }
    chance = _CHANCE / max(len(labels) + len(settings), 1)
    for key, column in labels.items():
        note, spread = _mixed(key, column, left, chance)
        notes += [note] if note is not None else []
        spreads.append(spread)
    for key, column in settings.items():
        note, spread = _setting(key, np.log(column), left, chance)
        notes += [note] if note is not None else []
        spreads.append(spread)
    notes += _untuned(columns) + _follows_size(columns, settings) + _short_runs(columns, left)
    notes += _embeddings(columns, params)
    return notes, float(np.sqrt(np.sum(np.square(spreads))))


def _numeric(columns: Mapping[str, AnyArray], names: Collection[str]) -> dict[str, Array]:
    """Columns of these names that hold numbers; a setting in words is a label."""
    named = {key: column for key, column in columns.items() if key.lower() in names}
    return {key: np.asarray(column, float) for key, column in named.items() if column.dtype.kind in "iuf"}


def _strings(column: AnyArray) -> AnyArray:
    return np.array([str(value) for value in column.tolist()])


def _is_label(column: AnyArray) -> bool:
    """Whether at least two values have three rows each: no names of single runs."""
    _, counts = np.unique(column, return_counts=True)
    return int((counts >= _LEAST_ROWS).sum()) >= 2


def _mixed(key: str, column: AnyArray, left: Array, chance: float) -> tuple[Note | None, float]:
    names, at, counts = np.unique(column, return_inverse=True, return_counts=True)
    groups = [left[at == i] for i in np.flatnonzero(counts >= _LEAST_ROWS)]
    p = means_differ(groups)
    means = np.array([part.mean() for part in groups])
    within = np.mean([part.var(ddof=1) / part.size for part in groups])
    spread = float(np.sqrt(max(means.var(ddof=1) - within, 0.0))) if p < chance else 0.0
    known = key.lower() in RECIPES
    if not known and not p < chance:
        return None, 0.0
    shown = shortlist((f"{name} ({count})" for name, count in zip(names, counts, strict=True)), 6)
    effect = (
        f"their means scatter by {100 * spread:.2g} % about one law, which is added to the intervals" if spread else ""
    )
    text = (
        f"Rows of several recipes: {key} is {shown}; {effect or 'one law was fitted to all of them'}. Forecast one "
        f"at a time: keep the rows of one {key}, or pass {arg('series', key)} with {arg('by', 'series')}."
    )
    return Note("mixed_recipes", "warning", text, {"column": key, "values": len(names), "spread": spread}), spread


def _setting(key: str, column: Array, left: Array, chance: float) -> tuple[Note | None, float]:
    """A numeric setting that explains residuals: by rank, so that one odd run does not decide."""
    if left.size < _LEAST_RUNS:
        return None, 0.0
    strength, p = rank_correlation(column, left)
    if not p < chance:
        return None, 0.0
    centred = column - column.mean()
    slope = float(centred @ left / (centred @ centred))
    spread = abs(slope) * float(centred.std())
    text = (
        f"The runs' residuals follow {key} (rank correlation {strength:+.2f}): {100 * spread:.2g} "
        f"% was added to the intervals. Tune {key} for each size, or keep the best run of each."
    )
    return Note("recipe_effect", "warning", text, {"column": key, "spread": spread}), spread


def _untuned(columns: Mapping[str, AnyArray]) -> list[Note]:
    N = np.asarray(columns["N"], float) if "N" in columns else np.ones(1)
    if N.max() < _WIDE_RANGE * N.min():
        return []
    for key, column in _numeric(columns, _RATES).items():
        if np.ptp(column) == 0.0:  # not where some are unknown
            text = (
                f"{key} is {float(column[0]):.3g} in every run, over a factor of {N.max() / N.min():.3g} in N: larger "
                f"models usually need a smaller one, and a forecast assumes that each run is tuned. Tune {key} at two "
                "sizes."
            )
            return [Note("untuned_rate", "warning", text, {"column": key})]
    return []


def _follows_size(columns: Mapping[str, AnyArray], settings: Mapping[str, Array]) -> list[Note]:
    follows = []
    for key, column in settings.items():
        if key.lower() not in _RATES and column.size >= _LEAST_RUNS and "N" in columns:
            strength = max(abs(rank_correlation(column, columns[size])[0]) for size in SIZES)
            follows += [key] if strength > 0.9 else []
    if not follows:
        return []
    text = (
        f"{', '.join(follows)} change{'s' if len(follows) == 1 else ''} with N or D, so its effect on the loss "
        "cannot be separated from that of size: the forecast is for larger runs in which it keeps changing in this "
        "way."
    )
    return [Note("recipe_follows_size", "info", text, {"columns": follows})]


def _short_runs(columns: Mapping[str, AnyArray], left: Array) -> list[Note]:
    """Residuals that grow with N among the runs of least compute: too few steps, or too long a warm-up."""
    if not set(SIZES) <= set(columns) or left.size < 2 * _LEAST_RUNS:
        return []
    N, D = (np.asarray(columns[key], float) for key in SIZES)
    C = levelled(N * D)
    low = C <= np.quantile(C, 1 / 3)
    if low.sum() < _LEAST_RUNS or np.ptp(N[low]) == 0:
        return []
    strength, p = rank_correlation(N[low], -left[low])
    if not (p < _CHANCE and strength > 0):
        return []
    text = (
        f"Among the {int(low.sum())} runs of least compute, larger models are further above the forecast "
        f"(rank correlation {strength:+.2f}): a sign of too few steps or too long a warm-up. Leave those "
        f"runs out, or scale the warm-up to the run."
    )
    return [Note("short_runs", "warning", text, {"correlation": strength})]


def _embeddings(columns: Mapping[str, AnyArray], params: str) -> list[Note]:
    """Say that N counts embeddings where these are much of it, and how to forecast without them."""
    if params != "total" or "N" not in columns:
        return []
    N = np.asarray(columns["N"], float)
    without, advice, column = _without_embeddings(columns, N)
    known = np.isfinite(without)
    share = 1 - float(np.median(without[known] / N[known])) if known.any() else None
    if share is not None and not _MUCH <= share < 1:  # an N below its embeddings does not count them
        return []
    if share is None and np.median(N) >= _MOSTLY_EMBEDDINGS:
        return []
    found = (
        f"Half of the models have fewer than {count(float(np.median(N)), 2)} parameters, and N is assumed to count "
        f"embeddings too: these are then most of N at usual vocabularies"
        if share is None
        else f"N counts embeddings, {100 * share:.0f} % of it in the median model"
    )
    text = f"{found}, which misleads forecasts at 30 times the compute and more. {advice}."
    return [Note("embeddings_counted", "warning", text, {"column": column, "share": share})]


def _without_embeddings(columns: Mapping[str, AnyArray], N: Array) -> tuple[Array, str, str | None]:
    """Parameters outside the embeddings (n,), NaN where no column tells them, what to do, and the column to name."""
    numeric = {key: column for key, column in columns.items() if column.dtype.kind in "iuf"}
    found = {plain_name(key): key for key, column in numeric.items() if np.isfinite(column).any()}
    other = next((found[name] for name in NON_EMBEDDING_NAMES if name in found), None)
    if other is not None:
        choose = way(f'columns={{"N": "{other}"}}', f"--N {other}")
        return np.asarray(columns[other], float), f"Pass {choose}, and N without embeddings for new runs", other
    vocabulary = next((found[name] for name in VOCABULARY_NAMES if name in found), None)
    width = next((found[name] for name in SHAPE_NAMES["d_emb"] if name in found), None)
    if vocabulary is None or width is None:
        advice = f"Count N without embeddings, or read the table with {arg('params', 'non_embedding')} if it is"
        return np.full(N.size, np.nan), advice, None
    embedding = np.asarray(columns[vocabulary], float) * np.asarray(columns[width], float)
    product = f"{vocabulary} x {width}"
    return N - embedding, f"Take {product} off N (twice where the output head has weights of its own)", None

"""sf.compare_recipes: how much compute a recipe saves, with an interval and a test."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import check_level, one_of
from scalefit._calls import explained
from scalefit._text import known, shortlist
from scalefit._typing import AnyArray
from scalefit.comparison.recipes_arm import SAME_RATIO, Arm, RunsOf, same_cells
from scalefit.comparison.recipes_fit import PRIORS, error_structures, fit_jointly, outlying
from scalefit.comparison.recipes_result import RecipeComparison
from scalefit.comparison.recipes_surfaces import AdditiveSurface, Before, ComputeSurface, Path, Surface, before
from scalefit.errors import ArgumentError, DataError, FitError, Note, arg, way
from scalefit.fitting.runs import read
from scalefit.flops import QUANTITIES, SIZES, training_flops
from scalefit.tables.columns import SAYS_WHAT_LOSS

if TYPE_CHECKING:
    import pandas as pd

LAWS = ("chinchilla", "power_law")
#: Fewest runs and budgets of a recipe (guesses: fewer leave the law no residual).
_FEWEST_RUNS, _FEWEST_BUDGETS = 4, 3
#: Least fall of ln loss per ln C at which compute buys a lower loss (a guess: far below any published exponent).
_FLAT = 1e-4
_LADDER = 0.3  # standard deviation of ln(D/N) below which a table says nothing of how N and D trade
#: Standard deviation of ln N or ln D, and distance in ln N, within which runs are of one size (guesses: rounding).
_ONE_SIZE = 0.02
_SAME_SIZE = 1e-3


@explained
def compare_recipes(
    runs: Any,
    recipe: str = "recipe",
    *,
    baseline: Any = None,
    law: str = "chinchilla",
    differ: str = "law",
    level: float = 0.9,
    same_loss: bool | None = None,
    branches: bool = False,
    columns: Mapping[str, Any] | None = None,
) -> RecipeComparison:
    """Compare training recipes by their compute multiplier over a baseline.

    The baseline needs `multiplier` times the compute to reach the loss of the other recipe. Both are fitted jointly.
    The exponents and the floor of the second may differ from the baseline's, under priors of three widths. Errors may
    be shared by pairs of runs, by size or by a misfit of the law. All these fits are averaged by evidence.

    Parameters
    ----------
    runs : DataFrame, path, or mapping of columns; or mapping of recipe to any of these
        Runs with N [parameters], D [tokens] and loss [nat/token], and a column that names the recipe; or one table
        per recipe.
    recipe : str
        The column that names the recipe.
    baseline : label
        The recipe that the others are compared with. With two recipes it may be omitted: the first is used.
    law : {"chinchilla", "power_law"}
        A law of N and D, evaluated at each recipe's compute-optimal allocation; or a power law of compute along the
        runs, for tables in which N and D follow one rule. A table with a single ratio D/N always uses the latter.
    differ : {"law", "nothing", "data"}
        What may differ besides the compute: exponents and floor, from a little to much, averaged (``"law"``);
        nothing, if you know that exponents and floor agree; exponents and floor by much, as for other data
        (``"data"``).
    level : float
        Level of the intervals, between 0 and 1.
    same_loss : bool, optional
        Whether both losses are of the same text with the same tokenizer. By default columns such as ``tokenizer`` or
        ``val_set`` decide.
    branches : bool
        Whether runs of one size are branches of one trunk, and so share their error.
    columns : mapping, optional
        Columns by name, ``columns={"N": "params_total"}``, as :func:`scalefit.read_runs` takes them; for every table.

    Returns
    -------
    RecipeComparison
        ``table`` (one row per recipe), ``multiplier(C=)``, ``crossing()``, ``verdict``, ``pairs``, ``weights``,
        ``plot()`` and more.

    Raises
    ------
    ArgumentError
        An argument is not allowed, or the baseline is not among the recipes.
    DataError
        A column is missing, or the losses are not comparable.
    FitError
        A recipe has fewer than 4 runs or 3 budgets, or its loss does not fall with compute.

    Notes
    -----
    The multiplier of a direct improvement L_B(N, D) = L_A(k_N N, k_D D) is k_N k_D at every compute; along one power
    law it is ((L_A - L_inf) / (L_B - L_inf))**(1 / exponent). Shared exponents and floor are an assumption that few
    runs can test, and intervals are wrong if it is slightly wrong; docs/recipes.md has the measured coverage.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> law, rng = sf.published("chinchilla", "besiroglu2024"), np.random.default_rng(0)
    >>> C, shape = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e18, 1e21, 4), [0.5, 1.0, 2.0]))
    >>> N = 0.05 * shape * C**0.51
    >>> D = C / 6 / N
    >>> tables = {
    ...     name: {"N": N, "D": D, "loss": law.predict(N=N * k, D=D * k) * np.exp(0.002 * rng.normal(size=12))}
    ...     for name, k in (("adamw", 1.0), ("muon", 1.4**0.5))
    ... }
    >>> found = sf.compare_recipes(tables, baseline="adamw")
    >>> row = found.table.loc["muon"]
    >>> bool(row["lower"] < 1.4 < row["upper"]), bool(row["p_better"] > 0.99)
    (True, True)
    """
    level = check_level(level)
    _known("law", law.split(":")[0] if isinstance(law, str) else law, LAWS)
    _known("differ", differ, PRIORS)
    for name, value in (("same_loss", same_loss), ("branches", branches)):
        if value not in (None, True, False):
            raise ArgumentError(f"{arg(name, value)} is neither True nor False", "nothing was compared", "Pass one")
    inputs = ("C",) if law.startswith("power_law") else SIZES
    tables, conventions = _tables(runs, recipe, inputs, columns)
    first = _baseline(tables, baseline)
    _refuse_other_losses(tables, same_loss)
    sides = {label: _runs_of(label, frame, conventions[label], inputs) for label, frame in tables.items()}
    unit = sides[first].unit
    notes = [_taken_as_given(unit)] if same_loss is None else []
    arms = {}
    for label, side in sides.items():
        if label != first:
            _refuse_other_counts(sides[first], side, law)
            arms[label] = _compare(sides[first], side, law, differ, branches)
    return RecipeComparison(arms, first, differ, level, unit, tuple(notes))


def _known(name: str, value: Any, names: Any) -> None:
    if not one_of(value, names):
        raise ArgumentError(f"{arg(name, value)} is not known", "nothing was compared", known(value, names))


def _tables(
    runs: Any, recipe: str, inputs: Sequence[str], columns: Mapping[str, Any] | None
) -> tuple[dict[Any, pd.DataFrame], dict[Any, dict[str, Any]]]:
    """One frame per recipe, in the order of the table, as read."""
    import pandas as pd

    from scalefit.tables.runs import name_columns

    if isinstance(runs, Mapping) and not isinstance(runs, pd.DataFrame):
        if runs and all(isinstance(v, (pd.DataFrame, Mapping, str, FilePath)) for v in runs.values()):
            tables = {label: _usable(name_columns(source, columns), inputs) for label, source in runs.items()}
            return tables, {label: dict(frame.attrs["scalefit"]) for label, frame in tables.items()}
    if not isinstance(recipe, str):
        raise ArgumentError(f"{arg('recipe', recipe)} names no column", "nothing was compared", "Pass the name of one")
    frame = _usable(name_columns(runs, columns), inputs)
    if recipe not in frame:
        others = {  # as text, since cells of JSON may be lists
            str(name): values.dropna().astype(str).nunique()
            for name, values in frame.items()
            if name not in (*QUANTITIES, "loss")
        }
        several = [name for name, n in others.items() if 1 < n <= len(frame) / 3] or [*others] or ["none is there"]
        raise DataError(
            f"The table has no column {recipe!r:.60} that names the recipe",
            "nothing was compared",
            (
                f"pass {arg('recipe')} with one of: {shortlist(several, 12)}",
                way("give a table per recipe, {'adamw': table}", ""),
            ),
        )
    missing = frame[recipe].isna()
    if missing.any():
        raise DataError(
            f"{int(missing.sum())} rows name no recipe in column {recipe!r} (first: row {frame.index[missing][0]})",
            "nothing was compared",
            "Fill them in or drop them",
        )
    stated = dict(frame.attrs["scalefit"])
    tables = {label: part for label, part in frame.groupby(recipe_labels(frame, recipe), sort=False)}
    return tables, dict.fromkeys(tables, stated)


def _usable(source: Any, inputs: Sequence[str]) -> pd.DataFrame:
    """The runs of a table as read; one that has compute alone is told how it can be compared."""
    from scalefit.tables.checks import usable_runs

    try:
        return usable_runs(source, inputs)
    except DataError as error:
        if "C" in inputs:
            raise
        try:
            usable_runs(source, ("C",))
        except DataError:
            raise error from None
        raise DataError(
            "The table has the compute C, and not both N and D",
            "nothing was compared",
            f"Pass {arg('law', 'power_law')} to compare along C, or add the columns N and D",
        ) from error


def recipe_labels(frame: pd.DataFrame, recipe: str) -> pd.Series[Any]:
    """What the recipe of each run is called: its cell, or the text of one that is no label, as a list of JSON is."""
    cells = frame[recipe]
    return cells if cells.map(lambda cell: isinstance(cell, Hashable)).all() else cells.map(str)


def _baseline(tables: Mapping[Any, Any], baseline: Any) -> Any:
    names = ", ".join(map(str, list(tables)[:12]))
    if len(tables) < 2:
        raise DataError(f"One recipe alone ({names})", "nothing was compared", "Give runs of two or more")
    if baseline is None:
        if len(tables) > 2:
            raise ArgumentError(
                f"{len(tables)} recipes and no baseline",
                "nothing was compared",
                f"Pass {arg('baseline')} as one of: {names}",
            )
        return next(iter(tables))
    for label in tables:
        if label == baseline or str(label) == str(baseline):
            return label
    raise ArgumentError(
        f"{arg('baseline', baseline)} is not among the recipes", "nothing was compared", known(str(baseline), tables)
    )


def _refuse_other_losses(tables: Mapping[Any, pd.DataFrame], same_loss: bool | None) -> None:
    if same_loss is False:
        raise DataError(
            f"{arg('same_loss', False)}: losses on other text or by another tokenizer have no multiplier",
            "nothing was compared",
            "Compare losses on one text, in bits per byte where tokenizers differ",
        )
    if same_loss:
        return
    for name in SAYS_WHAT_LOSS:
        stated = {
            label: sorted({str(v) for v in frame[name].dropna()}) for label, frame in tables.items() if name in frame
        }
        if len(stated) == len(tables) and len({tuple(v) for v in stated.values()}) > 1:
            listed = "; ".join(f"{label}: {', '.join(v[:3])}" for label, v in list(stated.items())[:4])
            raise DataError(
                f"The recipes differ in {name} ({listed}), so their losses cannot be compared",
                "nothing was compared",
                "Compare losses on one text (bits per byte where tokenizers differ), or pass "
                f"{arg('same_loss', True)} if you know that they are comparable",
            )


def _taken_as_given(unit: str) -> Note:
    text = "Assumed: both losses are of the same text, by the same tokenizer. Numbers alone cannot show it."
    return Note("same_loss", "info", text, {"unit": unit})


def _runs_of(label: Any, frame: pd.DataFrame, stated: Mapping[str, Any], inputs: Sequence[str]) -> RunsOf:
    """Check the runs of one recipe as every fit checks its table."""
    if "series" in frame and frame["series"].nunique() > 1:
        names = shortlist(frame["series"].unique(), 6)
        raise FitError(
            f"Recipe {label} holds {frame['series'].nunique()} series ({names}): their losses cannot be compared",
            "nothing was compared",
            f"Compare recipes on one series at a time{way('', ' (--only NAME)')}",
        )
    part = frame.copy()
    part.attrs["scalefit"] = dict(stated)
    table = read(part, inputs)
    columns, loss = table.table, table.loss
    unknown = np.full(len(loss), np.nan)
    N, D = (np.asarray(columns.get(name, unknown), float) for name in SIZES)
    C = table.columns["C"] if "C" in inputs else training_flops(N, D)
    repeats = float((D / columns["unique_tokens"]).max()) if "unique_tokens" in columns else 1.0
    if len(N) < _FEWEST_RUNS:
        raise FitError(
            f"{len(N)} runs of {label} are too few to compare",
            "nothing was fitted",
            f"Give {_FEWEST_RUNS} or more per recipe",
        )
    if len(np.unique(np.round(np.log(C), 2))) < _FEWEST_BUDGETS:
        raise FitError(
            f"The runs of {label} have fewer than {_FEWEST_BUDGETS} different computes C",
            "nothing was fitted",
            "Add cheaper or more expensive runs",
        )
    slope = float(np.polyfit(np.log(C), np.log(loss), 1)[0])
    if slope > -_FLAT:
        raise FitError(
            f"The loss of {label} does not fall with compute (it goes as C^{slope:.2g}), so none buys a lower one",
            "nothing was fitted",
            "Check for diverged runs and a wrong loss column",
        )
    unit = str(table.conventions.get("loss_unit", "nat/token"))
    params = str(table.conventions.get("params", "total"))
    return RunsOf(label, N, D, C, loss, table.labels, unit, params, repeats)


def _refuse_other_counts(a: RunsOf, b: RunsOf, law: str) -> None:
    if a.params != b.params and not law.startswith("power_law"):
        raise DataError(
            f"N counts {a.params} parameters in {a.label} and {b.params} in {b.label}",
            "nothing was compared",
            f"Count both the same way, or give a column C that does and pass {arg('law', 'power_law')}",
        )
    if a.unit != b.unit:
        raise DataError(
            f"The loss of {a.label} is in {a.unit} and that of {b.label} in {b.unit}",
            "nothing was compared",
            "Give both in nat/token, or bytes_per_token with both",
        )


def _surface(a: RunsOf, b: RunsOf, law: str, is_b: AnyArray) -> tuple[Surface, Path, list[Note]]:
    """The surface that these runs can determine, and the path along which it is read."""
    N, D = np.r_[a.N, b.N], np.r_[a.D, b.D]
    loss = np.r_[a.loss, b.loss]
    prior = before(float(loss.min()), a.unit)
    notes = []
    if a.unit == "nat/token" and prior != Before():
        text = (
            f"The lowest loss, {loss.min():.3g} nat/token, is below those of language models, so what published fits "
            "say of floors and exponents was not used. More runs are needed than for losses such as theirs."
        )
        notes.append(Note("low_losses", "info", text, {"lowest": float(loss.min())}))
    elif a.unit != "nat/token":
        text = "The loss is not in nat/token: the prior on the floor is centred at three quarters of the lowest loss."
        notes.append(Note("unit", "info", text, {"unit": a.unit}))
    ratio = float(np.exp(np.log(D / N).mean()))
    if law.startswith("power_law") or float(np.log(D / N).std()) < _LADDER:
        ladder = float(np.log(D / N).std()) < _LADDER
        apart = abs(float(np.log(D / N)[is_b].mean() - np.log(D / N)[~is_b].mean())) > SAME_RATIO
        path = Path("ratio", ratio) if ladder and not apart else Path("runs")
        if ladder and apart:
            text = "Each recipe has about one ratio of tokens to parameters; a power law of compute was used."
        elif ladder:
            text = (
                f"All runs have about {ratio:.3g} tokens per parameter, so nothing is known of other ratios; a power "
                "law of compute was used. Add runs at other ratios for the optimum of each recipe."
            )
        else:
            text = "A power law of compute was used, as requested: it assumes that all runs follow one rule of sizes."
        notes.append(Note("one_ratio" if ladder else "power_law", "info", text, {"ratio": ratio}))
        return ComputeSurface(np.r_[a.C, b.C], is_b, prior), path, notes
    path = Path()
    for name, values in (("N", N), ("D", D)):
        if float(np.log(values).std()) < _ONE_SIZE:
            path = Path(name, float(np.exp(np.log(values).mean())))  # type: ignore[arg-type]
            other = "tokens" if name == "N" else "parameters"
            text = (
                f"All runs have one {name}, so no multiplier of compute at the optimum is determined; the multiplier "
                f"is of {other} {path.words()}. Add runs at another {name}."
            )
            notes.append(Note("one_size", "warning", text, {name: path.value}))
    return AdditiveSurface(N, D, is_b, prior), path, notes


def _compare(a: RunsOf, b: RunsOf, law: str, differ: str, branches: bool) -> Arm:
    """Fit one recipe jointly with the baseline."""
    loss = np.r_[a.loss, b.loss]
    is_b = np.r_[np.zeros(len(a.N), bool), np.ones(len(b.N), bool)]
    surface, _, _ = _surface(a, b, law, is_b)
    odd = outlying(surface, loss)
    kept = [~odd[~is_b], ~odd[is_b]]
    set_aside = tuple((side.label, row) for side, keep in zip((a, b), kept, strict=True) for row in side.rows[~keep])
    if any(keep.sum() < _FEWEST_RUNS for keep in kept):  # too few are left to say which are the odd ones
        kept, set_aside = [np.ones_like(keep) for keep in kept], ()
    a, b = a.only(kept[0]), b.only(kept[1])
    is_b = np.r_[np.zeros(len(a.N), bool), np.ones(len(b.N), bool)]
    surface, path, notes = _surface(a, b, law, is_b)
    loss = np.r_[a.loss, b.loss]
    log_N = np.log(np.r_[a.N, b.N])
    sizes = (np.abs(log_N[:, None] - log_N) < _SAME_SIZE) & (is_b[:, None] == is_b) | np.eye(len(loss), dtype=bool)
    cells = np.block([[same_cells(one, other) for other in (a, b)] for one in (a, b)])
    structures = error_structures(surface.distances(), is_b, cells, sizes)
    groups = len(np.unique(sizes, axis=0))
    contrasts = len(loss) - len(np.unique(cells, axis=0))
    fit = fit_jointly(surface, loss, structures, differ, groups, contrasts, branches=branches)
    return Arm(a, b, fit, path, tuple(notes), set_aside, groups)

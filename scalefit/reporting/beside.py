"""What a table holds beside N, D and loss, each with a section of its own: recipes, sweeps of settings, accuracies.

An entry of `BESIDE` says by which columns it is found, what is made of them, and how that is shown. A table without
the columns has no section; one whose columns give no answer has the sentence that says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scalefit import _text as words
from scalefit.comparison.recipes import compare_recipes, recipe_labels
from scalefit.downstream.columns import accuracy_columns
from scalefit.errors import DataError
from scalefit.flops import SIZES
from scalefit.reporting.html import Markup, join, table, tag
from scalefit.reporting.sections import absent, section
from scalefit.tuning.settings import find_setting

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.comparison.recipes_result import RecipeComparison
    from scalefit.downstream.result import DownstreamResult
    from scalefit.planning.result import Plan
    from scalefit.tuning.result import Hyperparameters

#: Most recipes and tasks that a page shows, and how many it lists by name.
_MOST_RECIPES, _MOST_TASKS, _LISTED = 12, 60, 6
_RECIPE = ("recipe",)
_SETTINGS, _SWEPT = ("lr", "batch_size"), 3  # values in one cell of N and D from which a setting is swept


@dataclass(frozen=True, slots=True)
class Beside:
    """One kind of columns.

    Parameters
    ----------
    key, title : str
        Of the section.
    columns : callable
        Names of its columns in a table; empty where there are none.
    find : callable
        What is made of them, from the table, their names and the level; raises where nothing can be.
    show : callable
        The section's content, from what was found and the planned run.
    """

    key: str
    title: str
    columns: Callable[[pd.DataFrame], list[str]]
    find: Callable[[pd.DataFrame, list[str], float], Any]
    show: Callable[[Any, Plan | str, float], list[Markup]]


@dataclass(frozen=True, slots=True)
class Found:
    """What the columns gave, or the sentence that says why nothing."""

    kind: Beside
    columns: tuple[str, ...]
    answer: Any

    def section(self, planned: Plan | str, level: float) -> Markup:
        """The section of the page."""
        named = ", ".join(self.columns[:_LISTED]) + (
            f" and {len(self.columns) - _LISTED} more" if len(self.columns) > _LISTED else ""
        )
        lead = f"Found in the table: {'columns' if len(self.columns) > 1 else 'column'} {named}."
        if isinstance(self.answer, str):
            return absent(self.kind.key, self.kind.title, f"{lead} {self.answer}")
        return section(self.kind.key, self.kind.title, *self.kind.show(self.answer, planned, level), lead=lead)


def find_beside(runs: pd.DataFrame, level: float, or_why: Callable[[Callable[[], Any]], Any]) -> tuple[Found, ...]:
    """Everything that the table holds beside N, D and loss."""
    found = []
    for kind in BESIDE:
        columns = kind.columns(runs)
        if columns:
            answer = or_why(lambda kind=kind, columns=columns: kind.find(runs, columns, level))  # type: ignore[misc]
            found.append(Found(kind, tuple(columns), answer))
    return tuple(found)


def _recipe_columns(runs: pd.DataFrame) -> list[str]:
    return [name for name in _RECIPE if name in runs and recipe_labels(runs, name).nunique() > 1]


def _recipes(runs: pd.DataFrame, columns: list[str], level: float) -> RecipeComparison:
    """Recipes against the one with most runs, the first of the table where several have as many."""
    labels = recipe_labels(runs, columns[0])
    kept = labels.value_counts(sort=False).sort_values(ascending=False, kind="stable").index[:_MOST_RECIPES]
    part = runs[labels.isin(kept)].copy()
    part.attrs.update(runs.attrs)
    return compare_recipes(part, columns[0], baseline=kept[0], level=level)


def _show_recipes(found: RecipeComparison, planned: Plan | str, level: float) -> list[Markup]:
    rows = [
        (
            str(label),
            f"{row['n_runs']}",
            _with(row["multiplier_centre"], row["lower_centre"], row["upper_centre"]),
            _with(row["multiplier"], row["lower"], row["upper"]),
            row["verdict"],
        )
        for label, row in found.table.iterrows()
    ]
    head = ("recipe", "runs", "at the centre of the runs", "at the most expensive common run", "verdict")
    caption = f"Compute multiplier over {found.baseline}, with {words.percent(level)} intervals"
    remark = (
        f"The multiplier is how many times the compute {found.baseline} needs for the same loss. The law and the "
        "plans on this page are for all recipes together; sf.compare_recipes reads each one."
    )
    return [table(head, rows, caption, words=(0, 4)), tag("p", remark, class_="remark")]


def _with(value: float, lower: float, upper: float) -> Markup:
    text = "–" if value != value else f"{value:.3g}"
    return join([text, tag("small", words.between(lower, upper, lambda v: f"{v:.3g}"), class_="interval")])


def _tasks(runs: pd.DataFrame, columns: list[str], level: float) -> DownstreamResult:
    from scalefit.downstream.fit import fit_downstream  # most tables have no tasks

    found = fit_downstream(runs, metric=columns[:_MOST_TASKS], better="higher")
    found.judgements  # noqa: B018  # whatever refuses does so here
    return found


def _show_tasks(found: DownstreamResult, planned: Plan | str, level: float) -> list[Markup]:
    named = [name for name in found.models.metrics if not found.judgements[name].predictable]
    able = [name for name in found.tasks if found.judgements[name].predictable]
    at = None
    if not isinstance(planned, str):
        at = found.predict_tasks(N=planned.N, D=planned.D, level=level)
    rows = []
    for name in able:
        seen = found.table.loc[name]
        row: list[Any] = [name, f"{seen['best']:.3g}"]
        if at is not None:
            row.append(_with(*at.loc[name, ["value", "lower", "upper"]].to_numpy(float).tolist()))
        rows.append((*row, f"{100 * seen['explained']:.0f} %"))
    head = ["task", "at the lowest loss seen", *(["of the planned run"] if at is not None else [])]
    parts = []
    if rows:
        caption = f"Accuracies, predicted from the loss, with {words.percent(level)} intervals"
        parts.append(table([*head, "variance explained"], rows, caption))
    if named:
        sentences = [tag("li", f"{name}: {found.judgements[name].reason}") for name in named]
        opened = tag("summary", f"{len(named)} of {len(found.models.metrics)} cannot be predicted from these models")
        parts.append(tag("details", opened, tag("ul", *sentences), open=not rows))
    remark = "The guessing rates were estimated; if you know them, pass them to sf.fit_downstream(chance=...)."
    return [*parts, tag("p", remark, class_="remark")]


def _swept(runs: pd.DataFrame) -> list[str]:
    """Settings of which some cell of one N and D has several values."""
    if not set(SIZES) <= set(runs):
        return []
    cells, found = [runs["N"], runs["D"]], []
    for name in _SETTINGS:
        try:
            one = find_setting(runs, name)
        except DataError:
            found.append(name)  # its section says why it cannot be read
        else:
            if one is not None and int(runs[one[0]].groupby(cells).nunique().max()) >= _SWEPT:
                found.append(name)
    return found


def _hyperparameters(runs: pd.DataFrame, columns: list[str], level: float) -> Hyperparameters:
    from scalefit.tuning.hyperparameters import fit_hyperparameters

    return fit_hyperparameters(runs, of=tuple(columns), level=level)


def _show_hyperparameters(found: Hyperparameters, planned: Plan | str, level: float) -> list[Markup]:
    at = None if isinstance(planned, str) else found.predict(N=planned.N, D=planned.D, level=level).iloc[0]
    rows = []
    for name, law in ((str(key), value) for key, value in found.laws.iterrows()):
        row: list[Any] = [name]
        row += [_with(*law[[one, f"{one}_lower", f"{one}_upper"]].to_numpy(float).tolist()) for one in SIZES]
        if at is not None:
            row.append(_with(*at[[name, f"{name}_lower", f"{name}_upper"]].to_numpy(float).tolist()))
        rows.append(row)
    head = ["setting", "exponent of N", "exponent of D", *(["of the planned run"] if at is not None else [])]
    caption = f"Laws of the best settings, with {words.percent(level)} intervals"
    remark = (
        f"Optima of {len(found.optima)} cells of one N and D. The law and the plans on this page use all runs of the "
        "sweep, also those at poor settings: for a law of well-tuned runs, fit the best run of each cell."
    )
    return [table(head, rows, caption), tag("p", remark, class_="remark")]


#: What is looked for, in the order of the page.
BESIDE = (
    Beside("recipes", "Recipes", _recipe_columns, _recipes, _show_recipes),
    Beside("settings", "Settings", _swept, _hyperparameters, _show_hyperparameters),
    Beside("tasks", "Tasks", accuracy_columns, _tasks, _show_tasks),
)

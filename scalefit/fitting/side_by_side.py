"""Several fits in one table, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from scalefit import _latex
from scalefit._calls import explained
from scalefit.errors import ArgumentError
from scalefit.fitting.printing import number, verdict
from scalefit.fitting.result import FitResult
from scalefit.fitting.summary import BELOW, written

if TYPE_CHECKING:
    import pandas as pd

Several = Mapping[Any, FitResult] | Sequence[FitResult]


@overload
def summary_table(
    results: Several, names: Sequence[str] | None = None, *, latex: Literal[False] = False
) -> pd.DataFrame: ...
@overload
def summary_table(results: Several, names: Sequence[str] | None = None, *, latex: Literal[True]) -> str: ...
@explained
def summary_table(results: Several, names: Sequence[str] | None = None, *, latex: bool = False) -> pd.DataFrame | str:
    """Put fits side by side: one column per fit, one row per parameter and statistic.

    Parameters
    ----------
    results : FitResult, or sequence or mapping of them
        The fits; a mapping, such as what ``by="series"`` returns, names its columns.
    names : sequence of str, optional
        Names of the columns; the laws' by default.
    latex : bool
        Return LaTeX in place of a table.

    Returns
    -------
    DataFrame or str
        Cells are text: ``value (se)``. AIC and BIC compare only columns with equal ``data``; law, objective and scale
        may differ.

    Raises
    ------
    ArgumentError
        No fit, a value that is not a fit, or a number of names that does not match.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.load_dataset("scalefit_cpu").query("kind == 'branch' and series == 'markov'")
    >>> table = sf.summary_table([sf.fit(runs, "chinchilla"), sf.fit(runs, "kaplan")])
    >>> table.loc["E"].tolist()
    ['2.344 (0.010)', '']
    """
    import pandas as pd

    results = [results] if isinstance(results, FitResult) else results
    fits = list(results.values()) if isinstance(results, Mapping) else list(results)
    strange = [type(fit).__name__ for fit in fits if not isinstance(fit, FitResult)]
    if strange or not fits:
        raise ArgumentError(
            f"summary_table takes results of sf.fit, and {strange[0] if strange else 'none'} was given",
            "no table was made",
            "Pass a list of fits, or a mapping of names to fits",
        )
    if names is None:
        names = [str(key) for key in results] if isinstance(results, Mapping) else _apart(fits)
    if len(names) != len(fits):
        raise ArgumentError(f"{len(names)} names were given for {len(fits)} fits", "no table was made", "Give one each")
    rows = list(dict.fromkeys(str(name) for fit in fits for name in fit.params.index))
    cells = {row: [_cell(fit, row) for fit in fits] for row in rows}
    below = {name: [written(name, fit.statistics[name]) for fit in fits] for name in BELOW}
    below |= {"objective": [str(fit.problem.objective) for fit in fits], "data": [fit.data_digest for fit in fits]}
    below |= {"TRUST": [verdict(fit, fit.notes).split(" (")[0] for fit in fits]}
    if not latex:
        return pd.DataFrame.from_dict({**cells, **below}, orient="index", columns=list(names))
    return _latex_of(cells, below, names)


def _latex_of(cells: Mapping[str, list[str]], below: Mapping[str, list[str]], names: Sequence[str]) -> str:
    upper = [[_latex.symbol(name), *map(_latex.escaped, row)] for name, row in cells.items()]
    lower = [[_latex.escaped(name), *map(_latex.escaped, row)] for name, row in below.items()]
    return _latex.tabular("l" + "r" * len(names), ["", *map(_latex.escaped, names)], upper, lower)


def _apart(fits: Sequence[FitResult]) -> list[str]:
    """The laws' names, numbered where one comes twice."""
    names = [fit.law.name for fit in fits]
    return [name if names.count(name) == 1 else f"{name} {names[:i].count(name) + 1}" for i, name in enumerate(names)]


def _cell(fit: FitResult, name: str) -> str:
    if name not in fit.params.index:
        return ""
    if name in fit.certificate.undetermined:
        return "not determined"
    value, se = float(fit.params[name]), float(fit.std_errors[name])
    if name.split("[")[0] in (fit.fixed or {}):
        return f"{number(value)} (fixed)"
    return f"{number(value, se)} ({number(se, se)})" if np.isfinite(se) and se > 0 else number(value)

"""A fit in the form that papers and notebooks want: a table of parameters, statistics, LaTeX."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scalefit import _latex
from scalefit._arguments import LEVEL, check_level
from scalefit._text import percent
from scalefit.errors import Note
from scalefit.fitting.likelihood import statistics
from scalefit.fitting.printing import as_text, number
from scalefit.fitting.solution import Solution

if TYPE_CHECKING:
    import pandas as pd

#: Statistics of a summary, and how each is written.
_SHOWN = ("log likelihood", "AIC", "AICc", "BIC", "R2", "rms residual", "median residual")
BELOW = ("runs", "free parameters", "R2", "AIC", "BIC")


@dataclass(frozen=True, eq=False)
class Summary:
    """What a fit found, as a page, a table, numbers and LaTeX; made by :meth:`scalefit.FitResult.summary`.

    Attributes
    ----------
    table : DataFrame
        One row per parameter: value, se, lower, upper; NaN where the runs do not determine it.
    statistics : Series
        As :attr:`scalefit.FitResult.statistics`.
    level : float
        Coverage of the intervals.
    """

    table: pd.DataFrame
    statistics: pd.Series[float]
    level: float
    _page: str

    def __str__(self) -> str:
        rows = [f"  {name:<18}{written(name, self.statistics[name])}" for name in _SHOWN]
        lines = ["", "Statistics (of the likelihood that the objective stands for; runs taken as independent)", *rows]
        return self._page + "\n" + "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def to_latex(self) -> str:
        """The table for a paper, with the rules of booktabs."""
        rows = []
        for name, row in self.table.iterrows():
            value, se, lower, upper = (float(row[key]) for key in ("value", "se", "lower", "upper"))
            interval = f"[{number(lower, se)}, {number(upper, se)}]" if np.isfinite(lower + upper) else "--"
            cells = ["not determined" if np.isnan(value) else number(value, se)]
            rows.append([_latex.symbol(str(name)), *cells, number(se, se) if np.isfinite(se) else "--", interval])
        below = [[_latex.escaped(name), written(name, self.statistics[name]), "", ""] for name in BELOW]
        head = ["", "value", "s.e.", _latex.escaped(f"{percent(self.level)} interval")]
        return _latex.tabular("lrrr", head, rows, below)


def summary(result: Solution, notes: Sequence[Note], level: float = LEVEL) -> Summary:
    """Summarise a fit; see :meth:`scalefit.FitResult.summary`."""
    import pandas as pd

    check_level(level)
    ends = result.conf_int(level).reindex(result.params.index)
    table = pd.DataFrame({"value": result.params, "se": result.std_errors.reindex(result.params.index)}).join(ends)
    table.loc[list(result.certificate.undetermined)] = np.nan
    page = as_text(result, notes, level)
    return Summary(table, pd.Series(statistics(result), dtype=float), level, page)


def written(name: str, value: float) -> str:
    """A statistic as it is printed."""
    if np.isnan(value):
        return "-"
    if name in ("runs", "free parameters"):
        return f"{value:.0f}"
    if name == "R2":
        return f"{np.floor(1e5 * value) / 1e5:.5f}"  # never rounded up to 1
    return f"{value:.1f}" if name in ("log likelihood", "AIC", "AICc", "BIC") else f"{value:.3g}"

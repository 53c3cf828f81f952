"""Optima by budget and the power laws through them: values, print, and the bias of the method.

Parabolas through lopsided curves are biased even on noise-free runs. How much depends on the sizes trained, so it is
measured on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import LEVEL, check_level, check_numbers, check_quantity
from scalefit._plain import plain
from scalefit._text import PAGE, folded
from scalefit._typing import AnyArray, Array, ArrayLike
from scalefit.errors import ArgumentError, Note, ScalefitError, arg, note_record
from scalefit.flops import SIZES, counted
from scalefit.optima.curves import Curve
from scalefit.optima.power_law_fit import PowerLawFit, fit_power_law
from scalefit.plots.isoflop import IsoflopFigure

if TYPE_CHECKING:
    import pandas as pd

#: Points at which the curve through a budget is drawn.
_DENSE = 4001


@dataclass(frozen=True, eq=False)
class Optima:
    """Optima by budget and the power laws through them; made by :func:`scalefit.isoflop` and `scalefit.envelope`.

    Attributes
    ----------
    method : str
        Method that found the optima.
    optima : DataFrame
        ``C`` [FLOP], ``N`` [parameters], ``D`` [tokens], ``loss`` [nat/token], ``se_log_N`` (standard error of ln N*
        from the runs' noise) and ``n_runs``.
    refused : DataFrame
        ``C``, ``n_runs`` and ``reason`` of budgets without an optimum.
    line_N, line_D : PowerLawFit
        The power laws.
    noise : float
        Standard deviation of ln loss about the curves; NaN if they are too short to show it.
    strange : DataFrame
        Runs far off the curve through their neighbours: ``row``, ``C``, ``N``, ``loss``, ``off_curve`` [ln loss],
        ``sigmas``. They were kept.
    curves : tuple of Curve
        The runs by budget.
    conventions : dict
        What N, C and the loss count.
    notes : tuple of Note
        What to know before quoting an exponent.
    runs : dict of str to ndarray
        Columns of the table.
    refit : callable
        Finds the optima of other curves by the same method.
    """

    method: str
    optima: pd.DataFrame
    refused: pd.DataFrame
    line_N: PowerLawFit
    line_D: PowerLawFit
    noise: float
    strange: pd.DataFrame
    curves: tuple[Curve, ...]
    conventions: dict[str, Any]
    notes: tuple[Note, ...]
    runs: dict[str, AnyArray]
    refit: Callable[[list[Curve]], Optima] = field(repr=False)

    @property
    def exponent_N(self) -> float:
        """Exponent a of N* ~ C^a."""
        return self.line_N.exponent

    @property
    def exponent_D(self) -> float:
        """Exponent b of D* ~ C^b."""
        return self.line_D.exponent

    def interval(self, level: float = LEVEL) -> pd.DataFrame:
        """Intervals of the exponents: rows ``exponent_N`` and ``exponent_D``, columns ``lower`` and ``upper``."""
        import pandas as pd

        check_level(level)
        rows = [line.exponent_interval(level) for line in (self.line_N, self.line_D)]
        return pd.DataFrame(rows, index=["exponent_N", "exponent_D"], columns=["lower", "upper"])

    def predict(self, C: float | str | ArrayLike, level: float = 0.9) -> pd.DataFrame:
        """Optimal N and D at C [FLOP] with intervals.

        Parameters
        ----------
        C : float, str or array_like (n,)
            Budgets [FLOP].
        level : float
            Coverage of the intervals, between 0 and 1.

        Returns
        -------
        DataFrame
            One row per budget: ``C``, ``N`` [parameters] and ``D`` [tokens], each with ``_lower`` and ``_upper``.

        Raises
        ------
        ArgumentError
            A budget that is not positive and finite, or a level outside (0, 1).
        """
        import pandas as pd

        check_level(level)
        budgets = np.atleast_1d(check_quantity("C", C)) if np.ndim(C) == 0 else check_numbers("C", C)
        if not (np.isfinite(budgets).all() and (budgets > 0).all()):
            raise ArgumentError(f"{arg('C', C)} must be positive and finite", "nothing was predicted", "Check its unit")
        out: dict[str, Array] = {"C": budgets}
        for name, line in (("N", self.line_N), ("D", self.line_D)):
            out[name] = line.at(budgets)
            out[f"{name}_lower"], out[f"{name}_upper"] = line.interval_at(budgets, level)
        return pd.DataFrame(out)

    @cached_property
    def bias(self) -> dict[str, float] | None:
        """Return the error of the method on these sizes and budgets without any noise.

        The runs' losses are replaced by those of the Chinchilla law fitted to them, whose exponents are known, and the
        method is run again: ``exponent_N`` and ``exponent_D`` hold its error, ``N_at_largest`` the relative error of N*
        at the largest budget. None where that law cannot be fitted.
        """
        return bias_of(self)

    def plot(self, ax: Any = None) -> Any:
        """Draw the curves with their optima; returns the axes."""
        from scalefit.plots.isoflop import draw_isoflop

        return draw_isoflop(isoflop_data(self), ax=ax)

    def to_dict(self, level: float = LEVEL) -> dict[str, Any]:
        """The result as a JSON-compatible dict, with intervals at `level`."""
        return optima_record(self, level)

    def __str__(self) -> str:
        return optima_text(self)


def bias_of(optima: Optima) -> dict[str, float] | None:
    """Errors of the method where every run follows the Chinchilla law fitted to the table; see `Optima.bias`."""
    from scalefit.fitting.fit import fit

    try:
        result = fit({key: optima.runs[key] for key in (*SIZES, "loss")}, "chinchilla")
        clean = [
            replace(curve, y=np.log(result.predict(N=np.exp(curve.x), D=np.exp(curve.log_D))))
            for curve in optima.curves
        ]
        again = optima.refit(clean)
    except ScalefitError:
        return None
    # The truth: the law's minimum along each budget as it was trained, which need not be 6 N D = C.
    budgets = again.optima["C"].to_numpy()
    sizes, tokens = [], []
    for curve in clean:
        if curve.C in budgets:
            x = np.linspace(curve.x[0], curve.x[-1], _DENSE)
            log_d = np.interp(x, curve.x, curve.log_D)
            at = int(np.argmin(result.predict(N=np.exp(x), D=np.exp(log_d))))
            sizes.append(np.exp(x[at]))
            tokens.append(np.exp(log_d[at]))
    errors = np.full(budgets.size, 1.0)
    truth_n, truth_d = (fit_power_law(budgets, np.array(values), errors) for values in (sizes, tokens))
    found_n, found_d = (fit_power_law(budgets, again.optima[key].to_numpy(), errors) for key in SIZES)
    return {
        "exponent_N": found_n.exponent - truth_n.exponent,
        "exponent_D": found_d.exponent - truth_d.exponent,
        "N_at_largest": float(again.optima["N"].iloc[-1]) / sizes[-1] - 1,
    }


def optima_text(optima: Optima, level: float = LEVEL) -> str:
    """The exponents first, then the optima, then what to know before quoting them."""
    lines = [f"Optima by budget: {optima.method}, {len(optima.optima)} budgets; {counted(optima.conventions)}"]
    for name, line in (("N", optima.line_N), ("D", optima.line_D)):
        low, high = line.exponent_interval(level)
        known = f"{100 * level:.6g}% [{low:.4f}, {high:.4f}]"
        known = known if math.isfinite(low) else "no interval: two budgets, no noise seen"
        lines.append(f"  {name}* ~ C^{line.exponent:.4f}   {known}")
    noise = "not known (too few sizes)" if math.isnan(optima.noise) else f"{optima.noise:.2%}"
    lines.append(f"  noise of runs about their curves {noise}; scatter of ln N* beyond it {optima.line_N.scatter:.3f}")
    bias = optima.bias
    if bias is None:
        lines.append("  bias of the method: not known, the Chinchilla law cannot be fitted to these runs")
    else:
        lines.append(
            f"  bias of the method on noise-free runs of these sizes: exponent of N {bias['exponent_N']:+.4f}, of D "
            f"{bias['exponent_D']:+.4f}; N* at the largest budget {bias['N_at_largest']:+.1%}"
        )
    shown = optima.optima.assign(tokens_per_param=optima.optima["D"] / optima.optima["N"])
    table = shown.to_string(index=False, line_width=PAGE - 2, float_format=lambda v: f"{v:.4g}")
    lines += [f"  {line}" for line in table.splitlines()] + [f"  {note}" for note in optima.notes]
    return "\n".join(map(folded, lines))


def optima_record(optima: Optima, level: float = LEVEL) -> dict[str, Any]:
    """The optima as a JSON-compatible dict."""
    interval = optima.interval(level)
    return {
        "method": optima.method,
        "exponent_N": optima.exponent_N,
        "exponent_D": optima.exponent_D,
        "level": level,
        "interval": {name: [plain(row["lower"]), plain(row["upper"])] for name, row in interval.iterrows()},
        "optima": optima.optima.to_dict(orient="records"),
        "refused": optima.refused.to_dict(orient="records"),
        "strange": optima.strange.to_dict(orient="records"),
        "noise": None if math.isnan(optima.noise) else optima.noise,
        "scatter": optima.line_N.scatter,
        "bias": optima.bias,
        "params_convention": optima.conventions.get("params", "total"),
        "notes": [note_record(note) for note in optima.notes],
    }


def isoflop_data(optima: Optima) -> IsoflopFigure:
    """Numbers behind the figure."""
    low, high = optima.interval(0.95).loc["exponent_N"]
    accepted = set(optima.optima["C"])
    fitted = [_drawn(optima.method, curve.x, curve.y) if curve.C in accepted else None for curve in optima.curves]
    return IsoflopFigure(
        budgets=[curve.C for curve in optima.curves],
        sizes=[np.exp(curve.x) for curve in optima.curves],
        losses=[np.exp(curve.y) for curve in optima.curves],
        fitted=fitted,
        optima=optima.optima[["N", "loss"]].to_numpy(float),
        strange=optima.strange[["N", "loss"]].to_numpy(float),
        title=f"{optima.method}: N* ~ C^{optima.exponent_N:.3f} [{low:.3f}, {high:.3f}]",
    )


def _drawn(method: str, x: Array, y: Array) -> tuple[Array, Array]:
    grid = np.linspace(x[0], x[-1], 200)
    if method in ("parabola", "cubic"):
        c = np.polynomial.polynomial.polyfit(x - x.mean(), np.exp(y), 2 if method == "parabola" else 3)
        return np.exp(grid), np.asarray(np.polynomial.polynomial.polyval(grid - x.mean(), c))
    if method.endswith("lowest curve"):
        return np.exp(x), np.exp(y)
    from scipy.interpolate import Akima1DInterpolator

    return np.exp(grid), np.exp(Akima1DInterpolator(x, y)(grid))

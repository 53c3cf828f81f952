"""IsoFLOP curves: the best size on each budget, and how it grows (Hoffmann et al. 2022, approach 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scalefit._arguments import check_count, one_of
from scalefit._calls import explained
from scalefit._text import known, shortlist
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, FitError, Note, ScalefitError, arg
from scalefit.fitting.runs import Runs, read
from scalefit.flops import QUANTITIES
from scalefit.optima.curves import (
    Curve,
    curves_of,
    gather,
    noise_of,
    nominal_budgets,
    refuse_several_series,
    strange_runs,
)
from scalefit.optima.power_law_fit import fit_power_law
from scalefit.optima.result import Optima

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["parabola", "cubic", "local"]
#: Fewest sizes on a budget.
_LEAST = {"parabola": 3, "cubic": 4, "local": 3, "lowest": 3}
#: Largest spread of ln N D on a budget, as a share of that of ln N: more of it, and the curve is not one over size.
_ONE_BUDGET = 0.5
_METHODS = ("parabola", "cubic", "local")
#: Draws of the noise behind an error, and points of the grid over a curve (guesses).
_DRAWS, _GRID = 200, 401


@explained
def isoflop(
    runs: Any,
    method: Method = "parabola",
    *,
    budget: str | None = None,
    seed: int = 0,
    columns: Mapping[str, Any] | None = None,
) -> Optima:
    """Best size on each budget, and the power laws through them.

    Parameters
    ----------
    runs : DataFrame, path, or mapping of columns
        Runs on a few budgets: N [parameters], D [tokens], C [FLOP] and loss [nat/token].
    method : {"parabola", "cubic", "local"}
        ``"parabola"`` and ``"cubic"`` fit the loss over ln N; ``"local"`` interpolates (Akima) and is the least biased
        where curves are lopsided, the noisiest where they are flat.
    budget : str, optional
        Column of nominal budgets, if C scatters about them; by default runs whose C differs by less than 10 % share
        a budget.
    seed : int
        Seed of the perturbed copies that give each optimum's error.
    columns : mapping, optional
        Columns by name, ``columns={"N": "params_total"}``, as :func:`scalefit.read_runs` takes them.

    Returns
    -------
    Optima
        Budgets whose lowest run is the smallest or largest model are in ``refused``, not in ``optima``.

    Raises
    ------
    FitError
        Fewer than two budgets have an optimum; the message says why for each.
    DataError
        The runs do not share a few budgets.
    ArgumentError
        An unknown method or column, or several series.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> C, share = np.meshgrid([1e18, 1e19, 1e20], np.geomspace(0.2, 5, 9), indexing="ij")
    >>> N = share * 0.09 * C**0.5
    >>> D = C / (6 * N)
    >>> loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    >>> runs = {"N": N.ravel(), "D": D.ravel(), "C": C.ravel(), "loss": loss.ravel()}
    >>> round(sf.isoflop(runs, method="local").exponent_N, 3)
    0.513
    """
    if not one_of(method, _METHODS):
        raise ArgumentError(
            f"{arg('method', method)} is not a method",
            "nothing was computed",
            known(method, _METHODS),
        )
    from scalefit.tables.runs import name_columns

    table = read(name_columns(runs, columns), QUANTITIES)
    refuse_several_series(table)
    found = _from_runs(table, method, budget, seed)
    note = _on_labels(table, found, method, budget, seed)
    return found if note is None else replace(found, notes=(*found.notes, note))


def _from_runs(table: Runs, method: Method, budget: str | None, seed: int) -> Optima:
    columns = table.table
    nominal = None if budget is None else nominal_budgets(columns, budget)
    curves = curves_of(columns, table.labels, gather(columns["C"], nominal), nominal)
    return optima_of(curves, method, columns, table.conventions, table.notes, seed)


def _on_labels(table: Runs, found: Optima, method: Method, budget: str | None, seed: int) -> Note | None:
    """Say what becomes of the exponent without the rows that a column named outlier labels."""
    import pandas as pd

    words = pd.Series(table.table.get("outlier", np.zeros(table.loss.size)))
    labelled = words.astype(str).str.lower().isin(["true", "1", "1.0", "yes"]).to_numpy()
    if not labelled.any():
        return None
    own = int(np.isin(found.strange["row"].to_numpy(), table.labels[labelled]).sum())
    text = (
        f"The table labels {int(labelled.sum())} of {len(labelled)} rows as outliers. They were used; {own} of them "
        f"are off their curve by the noise seen here"
    )
    details: dict[str, Any] = {"labelled": int(labelled.sum()), "off_curve": own}
    try:
        kept = _from_runs(table.part(~labelled), method, budget, seed)
    except ScalefitError as error:
        return Note("labelled_outliers", "warning", f"{text}. Without them there is no answer: {error}", details)
    low, high = found.line_N.exponent_interval(0.9)
    inside = low <= kept.exponent_N <= high
    details |= {"exponent_N_without": kept.exponent_N, "exponent_N": found.exponent_N, "inside": inside}
    text += (
        f". Without them the exponent of N is {kept.exponent_N:.3f} in place of {found.exponent_N:.3f}, which its 90 % "
        f"interval {'holds: the labels do not matter here' if inside else 'does not hold: look at those rows'}."
    )
    return Note("labelled_outliers", "info" if inside else "warning", text, details)


def optima_of(
    curves: list[Curve],
    method: str,
    columns: dict[str, AnyArray],
    conventions: dict[str, Any],
    notes: tuple[Note, ...],
    seed: int,
    draws: int = _DRAWS,
) -> Optima:
    """Optima of curves and the power laws through them."""
    import pandas as pd

    noise = noise_of(curves)
    rng = np.random.default_rng(check_count("seed", seed, least=0))
    rows, refused = [], []
    for curve in curves:
        reason = _why_not(curve, method)
        if reason is None:
            at, low = locate(curve, method, curve.y[None])
            if np.isnan(at[0]):
                reason = f"the {method} has no minimum between the smallest and the largest size"
        if reason is not None:
            refused.append({"C": curve.C, "n_runs": sum(map(len, curve.labels)), "reason": reason})
            continue
        spread = 0.0
        if noise > 0:
            moved = locate(curve, method, curve.y + noise * rng.standard_normal((draws, curve.x.size)))[0]
            spread = float(np.nanstd(moved)) if np.isfinite(moved).sum() > 1 else 0.0
        log_d = float(np.interp(at[0], curve.x, curve.log_D))
        rows.append((curve.C, np.exp(at[0]), np.exp(log_d), np.exp(low[0]), spread, sum(map(len, curve.labels))))
    table = pd.DataFrame(rows, columns=["C", "N", "D", "loss", "se_log_N", "n_runs"])
    left_out = pd.DataFrame(refused, columns=["C", "n_runs", "reason"])
    if len(table) < 2:
        reasons = _by_reason(left_out)
        one = "Only one budget has" if len(table) else "No budget has"
        raise FitError(
            f"{one} an optimum, an exponent needs two{f' ({reasons})' if reasons else ''}",
            "none was fitted",
            "Add runs that are too small and too large for their budget, on two budgets or more",
        )
    C, se = table["C"].to_numpy(), table["se_log_N"].to_numpy()
    line_n = fit_power_law(C, table["N"].to_numpy(), se)
    line_d = fit_power_law(C, table["D"].to_numpy(), se)
    strange = pd.DataFrame(strange_runs(curves, noise), columns=["row", "C", "N", "loss", "off_curve", "sigmas"])
    parts = [note for note in notes if note.severity != "info"]
    return Optima(
        method=method,
        optima=table,
        refused=left_out,
        line_N=line_n,
        line_D=line_d,
        noise=noise,
        strange=strange,
        curves=tuple(curves),
        conventions=dict(conventions),
        notes=(*parts, *_remarks(table, left_out, strange)),
        runs=columns,
        refit=lambda clean: optima_of(clean, method, columns, conventions, (), 0),
    )


def _why_not(curve: Curve, method: str) -> str | None:
    """Say why a budget has no optimum, or None."""
    n = curve.x.size
    if n < _LEAST[method]:
        return f"{n} size{'s' if n != 1 else ''}, and {method} needs {_LEAST[method]}"
    sizes, compute = float(np.ptp(curve.x)), float(np.ptp(curve.x + curve.log_D))
    if compute > _ONE_BUDGET * sizes:
        return f"its sizes span a factor of {np.exp(sizes):.2f} while N D varies by {np.exp(compute):.2f}"
    lowest = int(np.argmin(curve.y))
    if lowest in (0, n - 1):
        side, way = ("smallest", "smaller") if lowest == 0 else ("largest", "larger")
        return f"the {side} model, N = {np.exp(curve.x[lowest]):.3g}, has the lowest loss: add {way} ones"
    return None


def _by_reason(refused: pd.DataFrame) -> str:
    """The budgets without an optimum, those of one reason together."""
    groups = refused.groupby("reason", sort=False)["C"]
    return shortlist([f"{shortlist((f'{C:.3g}' for C in each), 6)} FLOP: {why}" for why, each in groups], sep="; ")


def locate(curve: Curve, method: str, y: Array) -> tuple[Array, Array]:
    """Position ln N* (b,) and ln loss (b,) of the minimum for each row of ln losses (b, n); NaN where there is none."""
    low, high = curve.x[0], curve.x[-1]
    if method == "lowest":
        at = np.argmin(y, axis=1)
        return curve.x[at], y[np.arange(y.shape[0]), at]
    if method == "local":
        from scipy.interpolate import Akima1DInterpolator

        grid = np.linspace(low, high, _GRID)
        value = Akima1DInterpolator(curve.x, y.T)(grid)
        at = np.clip(np.argmin(value, axis=0), 1, _GRID - 2)
        columns = np.arange(y.shape[0])
        left, middle, right = (value[at + step, columns] for step in (-1, 0, 1))
        bend = left - 2 * middle + right
        with np.errstate(all="ignore"):
            shift = np.clip(np.where(bend > 0, 0.5 * (left - right) / bend, 0.0), -1.0, 1.0)
        return grid[at] + shift * (grid[1] - grid[0]), middle - 0.25 * (left - right) * shift
    degree = 2 if method == "parabola" else 3
    centre = curve.x.mean()
    # Loss over ln N, as published: the fit weighs runs by their loss, not by its logarithm.
    c = np.polynomial.polynomial.polyfit(curve.x - centre, np.exp(y).T, degree)
    with np.errstate(all="ignore"):
        if degree == 2:
            u = np.where(c[2] > 0, -0.5 * c[1] / c[2], np.nan)
        else:
            # The root of the slope at which the curvature is positive: (-c2 + sqrt(c2^2 - 3 c1 c3)) / (3 c3).
            root = np.sqrt(c[2] ** 2 - 3 * c[1] * c[3])
            u = -c[1] / (c[2] + root)  # the same, without the difference of nearly equal numbers where c3 is small
        u = np.where((u + centre > low) & (u + centre < high), u, np.nan)
        value = np.polynomial.polynomial.polyval(u, c, tensor=False)
        return u + centre, np.log(np.maximum(value, 1e-300))


def _remarks(table: pd.DataFrame, refused: pd.DataFrame, strange: pd.DataFrame) -> list[Note]:
    notes = []
    if len(refused):
        text = f"{len(refused)} budgets have no optimum and were left out: {_by_reason(refused)}."
        notes.append(Note("budgets_refused", "warning", text, {"C": [float(c) for c in refused["C"]]}))
    if len(table) == 2:
        text = "Two budgets give an exponent but no measure of their scatter: the interval holds the runs' noise only."
        notes.append(Note("two_budgets", "warning", text))
    decades = float(np.log10(table["C"].max() / table["C"].min()))
    if decades < 1:
        text = f"The optima span {decades:.2g} decades of compute: exponents from less than one hardly extrapolate."
        notes.append(Note("short_range", "warning", text, {"decades": decades}))
    if len(strange):
        rows = ", ".join(str(row) for row in strange["row"].head(6))
        text = (
            f"{len(strange)} runs are 6 standard deviations of the noise off the curve through their neighbours, or 5 "
            f"above the same size with fewer tokens (rows {rows}). They were kept; look at them, and run again "
            f"without them."
        )
        notes.append(Note("strange_runs", "warning", text, {"rows": strange["row"].tolist()}))
    return notes

"""Three approaches to the optimum side by side, per counting convention: isoFLOP curves, the fitted law, the envelope.

The same runs give exponents from 0.4 to 0.8 with what N counts alone, so every approach is taken under every convention
that the table holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import check_level, check_quantity
from scalefit._typing import Array
from scalefit.errors import ScalefitError
from scalefit.fitting.runs import read
from scalefit.flops import QUANTITIES, SIZES, convention, training_flops
from scalefit.optima.curves import nominal_budgets, refuse_several_series

if TYPE_CHECKING:
    import pandas as pd

_METHODS = ("parabola", "cubic", "local")
_COLUMNS = "params flops approach exponent_N lower upper exponent_D N N_lower N_upper D".split()
_COLUMNS += "tokens_per_param n_budgets remark".split()


def agreement(
    runs: Any,
    *,
    curves: Any = None,
    laws: str | Sequence[str] = ("chinchilla",),
    C: float | str | None = None,
    level: float = 0.9,
    budget: str | None = None,
    n_draws: int = 400,
) -> pd.DataFrame:
    """Exponents and optima of every approach under every counting convention of a table.

    Parameters
    ----------
    runs : DataFrame, path, or mapping of columns
        N, D, C and loss; ``N_non_embedding`` [parameters] adds a convention, and so does a C that is not 6 N D (then N
        is C / 6D: FLOP per token over 6).
    curves : DataFrame, path, or mapping, optional
        Training curves for the envelope: run, N, D, loss. Without them the envelope uses `runs` where they have
        several D per N.
    laws : str or sequence of str
        Laws to fit.
    C : float or str, optional
        Compute at which to compare the optima [FLOP]; the largest budget by default.
    level : float
        Coverage of the intervals.
    budget : str, optional
        Column of nominal budgets.
    n_draws : int
        Bootstrap draws of each law.

    Returns
    -------
    DataFrame
        One row per approach and convention: ``params`` and ``flops`` (what N and C count), ``approach``,
        ``exponent_N`` with ``lower`` and ``upper``, ``exponent_D``, ``N``, ``N_lower``, ``N_upper``, ``D`` at C,
        ``n_budgets``, and ``remark`` (why an approach gives nothing). ``frame.attrs["verdict"]`` says whether they
        agree.

    Raises
    ------
    DataError
        The table cannot be fitted.
    ArgumentError
        A level, a C or a budget column that is not allowed, or several series. An approach without a result keeps its
        row, which says why.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> C, share = np.meshgrid([1e18, 1e19, 1e20], np.geomspace(0.2, 5, 9), indexing="ij")
    >>> N = share * 0.09 * C**0.5
    >>> loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=C / (6 * N))
    >>> runs = {"N": N.ravel(), "D": (C / (6 * N)).ravel(), "C": C.ravel(), "loss": loss.ravel()}
    >>> agreement(runs, n_draws=50)[["approach", "exponent_N"]].round(2).values.tolist()[2:4]
    [['isoflop local', 0.51], ['law chinchilla', 0.51]]
    """
    import pandas as pd

    level = check_level(level)
    at = None if C is None else check_quantity("C", C)
    checked = read(runs, QUANTITIES)
    refuse_several_series(checked)
    columns, params_of_runs = checked.table, str(checked.conventions.get("params", "total"))
    if budget is not None:
        nominal_budgets(columns, budget)
    rows: list[dict[str, Any]] = []
    for params, flops, size in _conventions(columns, params_of_runs):
        table = {"N": size, "D": columns["D"], "loss": checked.loss}
        as_given = flops != "6ND" or params == params_of_runs
        table["C"] = columns["C"] if as_given else training_flops(size, table["D"])
        if budget is not None and as_given and budget in columns:
            table[budget] = np.asarray(columns[budget], float)
        asked = float(table["C"].max()) if at is None else at
        labels = {"params": params, "flops": flops}
        found = _isoflop_rows(table, asked, level, budget if budget in table else None)
        found += _law_rows(table, [laws] if isinstance(laws, str) else laws, asked, level, n_draws)
        found += _envelope_row(curves if as_given and flops == "6ND" else None, table, asked, level)
        rows += [{**labels, **row} for row in found]
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    frame.attrs["verdict"] = _verdict(frame, level)
    return frame


def _conventions(columns: dict[str, Any], params: str) -> list[tuple[str, str, Array]]:
    """What N can count in this table: (name, FLOP convention, sizes)."""
    size = columns["N"]
    found = [(params, "6ND", size)]
    bare = np.asarray(columns.get("N_non_embedding", [np.nan]))
    if bare.dtype.kind in "iuf" and np.isfinite(bare).all() and (bare > 0).all():
        found.append(("non_embedding", "6ND", np.asarray(bare, float)))
    counted = convention("6ND").size(columns["C"], columns["D"])
    if np.abs(np.log(counted / size)).max() > 0.02:
        found.append((params, "as counted in C", counted))
    return found


def _isoflop_rows(table: dict[str, Array], C: float, level: float, budget: str | None) -> list[dict[str, Any]]:
    from scalefit.optima.isoflop import isoflop

    rows = []
    for method in _METHODS:
        approach = f"isoflop {method}"
        try:
            rows.append(_from_optima(approach, isoflop(table, method, budget=budget), C, level))  # type: ignore[arg-type]
        except ScalefitError as error:
            rows.append({"approach": approach, "remark": str(error)})
    return rows


def _envelope_row(curves: Any, table: dict[str, Array], C: float, level: float) -> list[dict[str, Any]]:
    from scalefit.optima.envelope import envelope

    source = {key: table[key] for key in (*SIZES, "loss")} if curves is None else curves
    approach = "envelope" if curves is not None else "slices of runs"
    try:
        return [_from_optima(approach, envelope(source), C, level)]
    except ScalefitError as error:
        return [{"approach": approach, "remark": str(error)}]


def _from_optima(approach: str, optima: Any, C: float, level: float) -> dict[str, Any]:
    low, high = optima.interval(level).loc["exponent_N"]
    at = optima.predict(C, level).iloc[0]
    return {
        "approach": approach,
        "exponent_N": optima.exponent_N,
        "lower": low,
        "upper": high,
        "exponent_D": optima.exponent_D,
        "N": at["N"],
        "N_lower": at["N_lower"],
        "N_upper": at["N_upper"],
        "D": at["D"],
        "tokens_per_param": at["D"] / at["N"],
        "n_budgets": len(optima.optima),
        "remark": f"{len(optima.refused)} budgets refused" if len(optima.refused) else "",
    }


def _law_rows(
    table: dict[str, Array], laws: Sequence[str], C: float, level: float, n_draws: int
) -> list[dict[str, Any]]:
    import scalefit as sf

    rows: list[dict[str, Any]] = []
    for law in laws:
        approach = f"law {law}"
        try:
            result = sf.fit({key: table[key] for key in (*SIZES, "loss")}, law).bootstrap(
                n_draws, seed=0, cluster="shared"
            )
            plan = sf.plan(result, C=C, level=level)
        except ScalefitError as error:
            rows.append({"approach": approach, "remark": str(error)})
            continue
        between, sizes = plan.exponent_N_interval or (np.nan, np.nan), plan.N_interval or (np.nan, np.nan)
        rows.append(
            {
                "approach": approach,
                "exponent_N": plan.exponent_N,
                "lower": between[0],
                "upper": between[1],
                "exponent_D": plan.exponent_D,
                "N": plan.N,
                "N_lower": sizes[0],
                "N_upper": sizes[1],
                "D": plan.D,
                "tokens_per_param": plan.tokens_per_param,
                "remark": "" if result.trusted else "the fit must not be trusted",
            }
        )
    return rows


def _verdict(frame: pd.DataFrame, level: float) -> str:
    """Whether every pair of approaches under one convention has overlapping intervals."""
    parts = []
    for (params, flops), part in frame.groupby(["params", "flops"], sort=False):
        open_: list[Any] = part[part["exponent_N"].notna()].to_dict(orient="records")
        if len(open_) < 2:
            parts.append(f"N {params}, C {flops}: fewer than two approaches give an exponent")
            continue
        apart = [
            f"{a['approach']} ({a['exponent_N']:.3f}) and {b['approach']} ({b['exponent_N']:.3f})"
            for i, a in enumerate(open_)
            for b in open_[i + 1 :]
            if a["lower"] > b["upper"] or b["lower"] > a["upper"]
        ]
        exponents = [row["exponent_N"] for row in open_]
        spread = f"exponents of N {min(exponents):.3f} to {max(exponents):.3f}"
        how = "every two approaches agree" if not apart else f"{'; '.join(apart[:3])} do not"
        parts.append(f"N {params}, C {flops}: {spread}; within {100 * level:.6g}% intervals {how}")
    return ". ".join(parts) + "."

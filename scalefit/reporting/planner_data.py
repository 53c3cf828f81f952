"""What the page's planner computes with: parameters and draws of each law, its script, and its intervals.

The planner does what :func:`scalefit.plan` does. For a fitted law all of it is arithmetic on parameters. A forecast
adds a correction learned from its runs, and an interval calibrated on other tables. Both are smooth functions of N and
D, which the page reads off a grid by cubic interpolation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from scalefit._arguments import check_level
from scalefit._typing import Array
from scalefit.errors import ArgumentError
from scalefit.fitting.intervals import noise_of, trend_of
from scalefit.fitting.result import FitResult
from scalefit.flops import QUANTITIES, SIZES
from scalefit.forecasting.repeats import SPREAD
from scalefit.laws import published
from scalefit.planning.allocation import two_powers
from scalefit.planning.limits import largest
from scalefit.planning.loss_surface import drawn_on, surface_of
from scalefit.predictor import Predictor
from scalefit.reporting.formula import script_of

#: Levels that the planner offers beside the report's own.
LEVELS = (0.5, 0.8, 0.9, 0.95)
#: The grid of a forecast: decades below and above the runs, and points per decade.
_BELOW, _ABOVE, _PER_DECADE = 1.5, {"N": 4.5, "D": 5.5}, 8


def planner_data(result: FitResult, held: Predictor, predicts: Any, level: float, call: str) -> dict[str, Any]:
    """Models by name, the one that the planner starts with first; `scripts` are their laws.

    `held` is the result with the inputs that plans hold.

    Raises
    ------
    ArgumentError
        No bootstrap draws, or a law that a page cannot compute with.
    """
    if result.resamples is None:
        raise ArgumentError(
            "This fit has no bootstrap draws for the planner's intervals", "no planner was made", "Ask sf.plan"
        )
    levels, trend = sorted({*LEVELS, level}), trend_of(result)
    law = _model(held, "law", call)
    law |= {
        "noise": [(share, float(noise_of(result, share))) for share in levels],
        "trend": None if trend is None else asdict(trend),
    }
    models = {"law": law}
    if predicts is not None:
        ahead = _model(predicts, "forecast", "result = sf.forecast(runs)")
        models = {"forecast": {**ahead, **_grid(predicts, levels)}, **models}
    return models


def published_model(law: Predictor, call: str, name: str) -> dict[str, Any]:
    """The model of a published law: one set of constants, so no intervals; `name` tells its scripts apart."""
    return {**_model(law, name, call), "noise": None, "trend": None}


def _model(predictor: Predictor, name: str, call: str) -> dict[str, Any]:
    """Parameter rows, the estimate first, and how the law takes repeated data."""
    own, repeated = surface_of(predictor), surface_of(predictor, unique_tokens=1.0)
    if own.law is None or own.params is None or repeated.law is None or repeated.params is None:
        raise ArgumentError(
            "This law has no parameters that a page could compute with", "no planner was made", "Ask sf.plan"
        )
    names, powers = list(own.law.parameters), two_powers(own.law)
    knows_repetition = "unique_tokens" in own.law.inputs
    repeats = published("data_constrained", "muennighoff2023").constants.values["R_D"]
    return {
        "own": {
            "law": f"{name}_own",
            "inputs": own.law.inputs,
            "rows": np.stack([_brief(own.params[key]) for key in names], axis=1),
            "powers": powers and [names.index(key) for key in powers],
            "repeats": knows_repetition,
            "R_D": None,
        },
        # A law that knows nothing of repetition borrows it: as another law with constants added, or as fewer tokens.
        "repeated": {
            "law": f"{name}_repeated",
            "inputs": repeated.law.inputs,
            "extra": [float(repeated.params[key][0]) for key in repeated.law.parameters if key not in names],
            "powers": None,
            "R_D": repeats if repeated.law is own.law and not knows_repetition else None,
        },
        "scripts": {f"{name}_own": script_of(own.law), f"{name}_repeated": script_of(repeated.law)},
        "borrowed": [note.message for note in repeated.notes],
        "held": dict(predictor.held_inputs),
        "seen": largest(predictor),
        "R_D": repeats,
        "grid": None,
        "call": call,
    }


def _brief(rows: Array) -> Array:
    """Draws to eight digits, so that the page stays small; the estimate, row 0, keeps all of its own."""
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = 10.0 ** (np.floor(np.log10(np.abs(rows))) - 7)
        brief = np.where(rows == 0, 0.0, np.round(rows / unit) * unit)
    return np.concatenate([rows[:1], brief[1:]])


def _grid(predicts: Any, levels: Iterable[float]) -> dict[str, Any]:
    """Logarithms of forecast over law and of an interval's middle over it, and its spread, over ln N and ln D."""
    seen = predicts.seen()
    axes = {}
    for key in SIZES:
        low, high = np.log10(seen[key][0]) - _BELOW, np.log10(seen[key][1]) + _ABOVE[key]
        axes[key] = np.linspace(low, high, int(_PER_DECADE * (high - low)) + 2) * np.log(10)
    N, D = (np.exp(part).ravel() for part in np.meshgrid(axes["N"], axes["D"], indexing="ij"))
    shape = (axes["N"].size, axes["D"].size)
    surface = surface_of(predicts)
    law = surface.first().loss(N[None], D[None])[0]
    spread, new = {}, drawn_on(predicts, D)
    # Within the runs and far beyond them; the page mixes the two, for their mix has a bend where the runs end.
    for name, reach in (("within", 1e12), ("beyond", -1.0)):
        alone = replace(predicts, spread=replace(predicts.spread, reach=reach))
        frame = np.log(alone.predict_interval(level=0.9, N=N, D=D, **new))
        half = 0.5 * (frame["upper"] - frame["lower"]).to_numpy() / predicts.spread.quantile(0.9)
        spread[name] = np.log(half).reshape(shape).round(5)
    loss = np.asarray(predicts.predict(N=N, D=D, **new))
    return {
        "noise": None,
        "trend": None,
        "grid": {
            "start": [float(axis[0]) for axis in axes.values()],
            "step": [float(axis[1] - axis[0]) for axis in axes.values()],
            "correction": np.log(loss / law).reshape(shape).round(7),
            **spread,
            "middle": (0.5 * (frame["upper"] + frame["lower"]) - frame["loss"]).to_numpy().reshape(shape).round(7),
            "repeats": list(SPREAD),
            "reach": float(predicts.spread.reach),
            "largest": [seen[key][1] for key in QUANTITIES],
            "quantile": [(share, float(predicts.spread.quantile(check_level(share)))) for share in levels],
        },
    }

"""Predictions written down before the run, and scored after it.

A registered prediction is a JSON file with the predicted loss, its interval, the point, a digest of the runs behind it,
the version and the date, and a SHA-256 over all of that, which detects a later change of any number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit import __version__
from scalefit._arguments import check_quantity
from scalefit._digests import check_digest, digest_of, with_digest
from scalefit.errors import ArgumentError, DataError, arg, way
from scalefit.forecasting.calibration import shipped

if TYPE_CHECKING:
    import pandas as pd

#: How a prediction is registered.
_HOW = way("forecast.register(FILE, N=..., D=...)", "scalefit forecast runs.csv --at N=...,D=... --register FILE")
KIND, FORMAT = "registered_forecast", 1
#: What a file holds, and what kind of value each is.
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "kind": str,
    "format": int,
    "scalefit": str,
    "registered": str,
    "law": str,
    "n_runs": int,
    "data": str,
    "loss_unit": str,
    "inputs": dict,
    "level": float,
    "loss": float,
    "lower": float,
    "upper": float,
    "log_sd": float,
    "trusted": bool,
    "notes": list,
    "sha256": str,
}


@dataclass(frozen=True, slots=True)
class Score:
    """How a registered prediction did.

    Attributes
    ----------
    hit : bool
        Whether the loss lies in the interval.
    loss : float
        The run's loss, in the unit of the forecast.
    predicted, lower, upper : float
        What was registered.
    level : float
        The interval's nominal coverage.
    error : float
        loss / predicted - 1.
    z : float
        Error of the log loss in standard deviations; for calibrated forecasts it follows the registered t
        distribution.
    registered : str
        When it was written down.
    """

    hit: bool
    loss: float
    predicted: float
    lower: float
    upper: float
    level: float
    error: float
    z: float
    registered: str

    def __str__(self) -> str:
        where = "inside" if self.hit else "above" if self.loss > self.upper else "below"
        return (
            f"{'HIT' if self.hit else 'MISS'}: loss {self.loss:.4f} lies {where} the {100 * self.level:g} % interval "
            f"{self.lower:.4f} to {self.upper:.4f}, {100 * self.error:+.2f} % from the forecast {self.predicted:.4f} "
            f"registered on {self.registered[:10]}."
        )


def registered(
    predict: Callable[..., pd.DataFrame],
    document: Mapping[str, Any],
    path: str | Path,
    *,
    level: float,
    inputs: Mapping[str, float],
) -> dict[str, Any]:
    """Write a prediction for one run to a new file, and return what was written.

    Parameters
    ----------
    predict : callable
        Gives the interval at the inputs.
    document : mapping
        The forecast as plain data; its runs are digested.
    path : str or Path
        The file; an existing one is not replaced, as that would undo a registration.
    level : float
        Coverage of the interval.
    inputs : mapping
        N [parameters] and D [tokens] of the run to come.

    Raises
    ------
    ArgumentError
        No point, or more than one.
    DataError
        The file exists, or cannot be written.
    """
    if not inputs or any(np.ndim(value) for value in inputs.values()):
        raise ArgumentError(
            f"{arg('inputs', dict(inputs))} must be of one run",
            "nothing was registered",
            f"Pass them as numbers: forecast.register('plan.json', {arg('N', 7e9)}, {arg('D', 2e12)})",
        )
    target = Path(path)
    if target.exists():
        raise DataError(
            f"{target} exists already, and a registered prediction is not replaced",
            "nothing was written",
            "Give another name, or score the one there",
        )
    row = predict(**inputs)
    notes = [str(note) for note in row.attrs["notes"]]
    first = row.iloc[0]
    if not np.isfinite(float(first["upper"])):
        raise ArgumentError(
            "The interval of this run has no upper end, so no loss could miss it",
            "nothing was registered",
            f"Register a run that repeats its tokens less often, or a lower {arg('level', level)}",
        )
    sd = np.sqrt(sum(float(first[f"se_{part}"]) ** 2 for part in ("parameter", "law", "noise"))) / first["loss"]
    runs = {key: document[key] for key in ("columns", "units", "loss", "weights")}
    written: dict[str, Any] = {
        "kind": KIND,
        "format": FORMAT,
        "scalefit": __version__,
        "registered": datetime.now(UTC).isoformat(timespec="seconds"),
        "law": document["law"],
        "n_runs": document["n_runs"],
        "data": digest_of(runs),
        "loss_unit": str(document["conventions"].get("loss_unit", "nat/token")),
        "inputs": {key: float(value) for key, value in inputs.items()},
        "level": float(level),
        **{key: float(first[key]) for key in ("loss", "lower", "upper")},
        "log_sd": float(sd),
        "trusted": bool(document["trusted"]),
        "notes": notes,
    }
    written = with_digest(written)
    from scalefit._files import write_whole

    write_whole(target, json.dumps(written, indent=1, allow_nan=False) + "\n")
    return written


def score(path: str | Path, loss: float) -> Score:
    """Score a registered prediction.

    Parameters
    ----------
    path : str or Path
        What :meth:`ForecastResult.register` wrote.
    loss : float
        The run's loss, in the unit of the forecast.

    Raises
    ------
    DataError
        Not a registered prediction, or one that was changed after it was written.
    """
    saved, value = read_registered(path), check_quantity("loss", loss)
    # From the upper end, as repeats may cut the lower one: beyond the runs the middle lies above the forecast.
    z = float(np.log(value / saved["upper"]) / saved["log_sd"]) + shipped().interval.quantile(saved["level"])
    numbers = {key: saved[key] for key in ("lower", "upper", "level", "registered")}
    hit = bool(saved["lower"] <= value <= saved["upper"])
    return Score(hit, value, saved["loss"], error=value / saved["loss"] - 1, z=z, **numbers)


def calibration_curve(scores: Iterable[Score]) -> pd.DataFrame:
    """Share of registered predictions whose runs lay within intervals of each nominal level.

    Parameters
    ----------
    scores : iterable of Score
        Predictions that were scored; a few say little.

    Returns
    -------
    DataFrame
        ``level``, ``coverage`` and ``n``: intervals at other levels than the registered one follow Student's t.
    """
    import pandas as pd
    from scipy.special import stdtr

    z = np.array([abs(each.z) for each in scores])
    if z.size == 0:
        raise ArgumentError("There is no score to draw a curve of", "none was made", "Score predictions first")
    freedom = shipped().interval.freedom
    needed = 1.0 - 2.0 * stdtr(freedom, -z)
    levels = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
    return pd.DataFrame({"level": levels, "coverage": [(needed <= level).mean() for level in levels], "n": z.size})


def read_registered(path: str | Path) -> dict[str, Any]:
    """Read a registered prediction, and check its hash."""
    from scalefit.fitting.schema import read_saved

    saved, _ = read_saved(path)
    if not isinstance(saved, dict) or saved.get("kind") != KIND or saved.get("format") != FORMAT:
        raise DataError(
            f"{path} is not a registered prediction of format {FORMAT}",
            "it was not scored",
            f"Register one with {_HOW}",
        )
    wrong = [key for key, kind in _FIELDS.items() if not isinstance(saved.get(key), kind) or saved.get(key) is None]
    if wrong or set(saved) != set(_FIELDS):
        raise DataError(
            f"{path}: {', '.join(wrong) or 'unknown fields'} are not as register writes them",
            "it was not scored",
            f"Register again with {_HOW}",
        )
    check_digest(saved, path)
    if not (0 < saved["level"] < 1 and 0 <= saved["lower"] <= saved["loss"] <= saved["upper"] and saved["log_sd"] > 0):
        raise DataError(f"{path} holds no interval about its loss", "it was not scored", f"Register again with {_HOW}")
    return saved

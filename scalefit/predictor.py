"""The one interface of everything that predicts: fits, forecasts, averages and published laws.

Planning, comparison, live runs, figures and reports take a :class:`Predictor` and use nothing else of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np

from scalefit._calls import explained
from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError, Note, arg
from scalefit.flops import SIZES

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.laws._base import Law
    from scalefit.laws._declarations import Target

Kind = Literal["new_run", "mean"]


@runtime_checkable
class Predictor(Protocol):
    """Anything that predicts a law's target from its inputs.

    :class:`scalefit.FitResult`, :class:`scalefit.ForecastResult`, what :func:`scalefit.average` and
    :func:`scalefit.published` return, and each of these with inputs held (:meth:`at`) fulfil it.

    Examples
    --------
    >>> import scalefit as sf
    >>> def tokens_per_parameter(law: sf.Predictor, C: float) -> float:
    ...     return sf.plan(law, C=C).tokens_per_param
    >>> round(tokens_per_parameter(sf.published("chinchilla", "hoffmann2022_tex"), 5.76e23), 1)
    58.9
    """

    @property
    def law(self) -> type[Law] | None:
        """The law behind it; None for a blend of several."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs that a prediction needs."""

    @property
    def target(self) -> Target:
        """What it predicts: name, unit, whether lower is better, range; a loss is in the unit of its runs."""

    @property
    def held_inputs(self) -> Mapping[str, float]:
        """Inputs fixed at a value, by :meth:`at`."""

    @property
    def params(self) -> pd.Series[float]:
        """Parameters in natural units; empty for a blend."""

    @property
    def conventions(self) -> Mapping[str, Any]:
        """What N, C and the loss count."""

    @property
    def notes(self) -> tuple[Note, ...]:
        """What to know before you use the numbers."""

    @property
    def trusted(self) -> bool:
        """Whether it can be trusted."""

    @property
    def calibrated(self) -> bool:
        """Whether its intervals were calibrated on jumps beyond the runs."""

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Parameters that the runs leave open: no interval of what rests on them could be claimed."""

    @property
    def series(self) -> tuple[str, ...]:
        """Series that have coefficients of their own; empty where there is one law for all."""

    def predict(self, **inputs: Any) -> float | Array:
        """Target at the given inputs: a float for scalars, else an array like the input."""

    def predict_interval(self, *, level: float = 0.9, **inputs: Any) -> pd.DataFrame:
        """Columns loss, lower and upper, for one run (``kind="new_run"``) or for the law's own value (``kind="mean"``).

        Lower and upper are NaN where no errors are known, as for published constants.
        """

    def draws(self, n: int = 500) -> pd.DataFrame:
        """Draws of the parameters in natural units, one row per draw; empty for published constants and averages."""

    def seen(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest value of each input, and of C, among the runs behind it; empty where unknown."""

    def runs(self) -> dict[str, Array]:
        """Inputs of the runs behind it in natural units (n,), and their C; empty where they are not kept."""

    def correction(self, **inputs: Any) -> float:
        """Ratio of the prediction to the law's value at the parameters: 1 for all but forecasts."""

    def at(self, **held: Any) -> Predictor:
        """The same predictor with some of its inputs fixed."""

    def cite(self) -> str:
        """BibTeX of what it used."""

    def to_dict(self) -> dict[str, Any]:
        """The predictor as a JSON-compatible dict."""

    def to_json(self, path: str | Path | None = None) -> str:
        """The same as JSON text, written to `path` if given."""


@explained
class Held:
    """A predictor with some of its inputs fixed; made by ``at(...)`` of any predictor."""

    def __init__(self, of: Predictor, held: Mapping[str, Any]) -> None:
        from scalefit._arguments import check_quantity

        strange = sorted(set(held) - set(of.inputs))
        if strange:
            raise ArgumentError(
                f"at: {', '.join(strange)} cannot be held, as the law reads {', '.join(of.inputs)}",
                "nothing was held",
                "Hold an input of the law",
            )
        self._of = of
        self._held = {name: check_quantity(name, value, zero=True) for name, value in held.items()}

    @property
    def law(self) -> type[Law] | None:
        """The law behind it; None for a blend of several."""
        return self._of.law

    @property
    def target(self) -> Target:
        """What it predicts."""
        return self._of.target

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs that a prediction still needs."""
        return tuple(name for name in self._of.inputs if name not in self._held)

    @property
    def held_inputs(self) -> Mapping[str, float]:
        """Inputs held, with their values."""
        return {**self._of.held_inputs, **self._held}

    @property
    def params(self) -> pd.Series[float]:
        """Parameters in natural units; empty for a blend."""
        return self._of.params

    @property
    def conventions(self) -> Mapping[str, Any]:
        """What N, C and the loss count."""
        return self._of.conventions

    @property
    def notes(self) -> tuple[Note, ...]:
        """What to know before you use the numbers."""
        return self._of.notes

    @property
    def trusted(self) -> bool:
        """Whether it can be trusted."""
        return self._of.trusted

    @property
    def calibrated(self) -> bool:
        """Whether its intervals were calibrated on jumps beyond the runs."""
        return self._of.calibrated

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Parameters that the runs leave open: no interval of what rests on them could be claimed."""
        return self._of.undetermined

    @property
    def series(self) -> tuple[str, ...]:
        """Series that have coefficients of their own."""
        return self._of.series

    @property
    def of(self) -> Predictor:
        """The predictor with all its inputs free."""
        return self._of

    def predict(self, **inputs: Any) -> float | Array:
        """Target at the given inputs and those held."""
        return self._of.predict(**self._with(inputs))

    def predict_interval(self, *, level: float = 0.9, **inputs: Any) -> pd.DataFrame:
        """Interval at the given inputs and those held."""
        return self._of.predict_interval(level=level, **self._with(inputs))

    def draws(self, n: int = 500) -> pd.DataFrame:
        """Draws of the parameters in natural units."""
        return self._of.draws(n)

    def seen(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest value of each input among the runs behind it."""
        return self._of.seen()

    def runs(self) -> dict[str, Array]:
        """Inputs of the runs behind it."""
        return self._of.runs()

    def correction(self, **inputs: Any) -> float:
        """Ratio of the prediction to the law's value at the parameters."""
        return self._of.correction(**self._with(inputs))

    def at(self, **held: Any) -> Held:
        """The same predictor with more of its inputs held."""
        return Held(self, held)

    def cite(self) -> str:
        """BibTeX of what it used."""
        return self._of.cite()

    def to_dict(self) -> dict[str, Any]:
        """The predictor and what is held, as a JSON-compatible dict."""
        return {**self._of.to_dict(), "held_inputs": dict(self.held_inputs)}

    def to_json(self, path: str | Path | None = None) -> str:
        """Write the predictor behind it, all inputs free."""
        return self._of.to_json(path)

    def __repr__(self) -> str:
        held = ", ".join(f"{name}={value:g}" for name, value in self._held.items())
        return f"<{self._of!r} at {held}>"

    def _with(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        twice = sorted(name for name in set(inputs) & set(self._held) if inputs[name] is not None)
        if twice:
            raise ArgumentError(
                f"{', '.join(arg(name, inputs[name]) for name in twice)}: already held at "
                f"{', '.join(f'{self._held[name]:g}' for name in twice)}",
                "nothing was predicted",
                "Leave it out, or start from the result without at()",
            )
        return {**self._held, **inputs}


class _Callable:
    """An object with nothing but ``predict(N=, D=)``, as a predictor."""

    law = None
    held_inputs: Mapping[str, float] = {}
    conventions: Mapping[str, Any] = {}
    notes: tuple[Note, ...] = ()
    trusted = True
    calibrated = False
    series: tuple[str, ...] = ()
    inputs = SIZES

    def __init__(self, of: Any) -> None:
        self._of = of
        self.name = type(of).__name__

    @property
    def target(self) -> Target:
        from scalefit.laws._declarations import LOSS

        return LOSS

    @property
    def params(self) -> pd.Series[float]:
        import pandas as pd

        return pd.Series(dtype=float)

    @property
    def undetermined(self) -> tuple[str, ...]:
        return ()

    def predict(self, **inputs: Any) -> float | Array:
        found: float | Array = self._of.predict(**inputs)
        return found

    def predict_interval(self, *, level: float = 0.9, **inputs: Any) -> pd.DataFrame:
        return without_interval(self.predict(**{k: v for k, v in inputs.items() if k not in ("kind", "series")}))

    def draws(self, n: int = 500) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(index=range(0))

    def seen(self) -> dict[str, tuple[float, float]]:
        return {}

    def runs(self) -> dict[str, Array]:
        return {}

    def correction(self, **inputs: Any) -> float:
        return 1.0

    def at(self, **held: Any) -> Held:
        return Held(self, held)

    def cite(self) -> str:
        return ""

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.name}

    def to_json(self, path: str | Path | None = None) -> str:
        raise ArgumentError(f"A {self.name} has nothing but predict", "nothing was saved", "Save what it was made from")


_Result = TypeVar("_Result")


def behind(predictor: object, kind: type[_Result]) -> _Result | None:
    """The result of one kind behind a predictor, some of its inputs held or not; None behind any other.

    Use it for what only that kind of result has, such as the residuals of a fit.
    """
    while isinstance(predictor, Held):
        predictor = predictor.of
    return predictor if isinstance(predictor, kind) else None


_ASKED = ("predict", "predict_interval", "draws", "seen", "at", "correction")


def predicts(value: Any) -> bool:
    """Whether something is a result rather than the runs behind one."""
    return callable(getattr(type(value), "predict", None))


def predictor_of(value: Any, purpose: str = "A plan") -> Predictor:
    """Return a `Predictor`; an object that has only ``predict`` is wrapped. The one place that checks what was given.

    Raises
    ------
    ArgumentError
        It does not predict.
    """
    kind = type(value)
    if all(callable(getattr(kind, name, None)) for name in _ASKED):
        found: Predictor = value
        return found
    if not callable(getattr(value, "predict", None)) or isinstance(value, type):
        raise ArgumentError(
            f"{purpose} needs something that predicts, and {kind.__name__} does not",
            "nothing was computed",
            "Pass what sf.fit, sf.forecast or sf.published returned",
        )
    return _Callable(value)


def without_interval(loss: ArrayLike) -> pd.DataFrame:
    """Predictions without known errors: lower and upper are NaN."""
    import pandas as pd

    flat = np.ravel(np.asarray(loss, float))
    frame = pd.DataFrame({"loss": flat, "lower": np.nan, "upper": np.nan})
    frame.attrs["notes"] = []
    return frame


def ranges(runs: Mapping[str, Array]) -> dict[str, tuple[float, float]]:
    """Smallest and largest value of each column (n,)."""
    return {name: (float(np.min(values)), float(np.max(values))) for name, values in runs.items()}


def random_draws(x: Array, cov: Array, n: int, seed: int, freedom: float = np.inf) -> Array:
    """Normal draws (n, p), or Student's of so many degrees of freedom; what has no variance stays where it is."""
    values, vectors = np.linalg.eigh(np.nan_to_num(cov))
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((n, len(values)))
    if np.isfinite(freedom):
        steps *= np.sqrt(freedom / rng.chisquare(freedom, (n, 1)))
    return np.asarray(x + (steps * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)

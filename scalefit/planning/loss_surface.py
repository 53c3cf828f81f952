"""The loss over model size and tokens, for a point estimate and its draws at once.

Whatever predicts can be planned with: a fit (bootstrap draws, or draws from its robust covariance), a published law
(no draws, so no intervals), or an object with nothing but ``predict``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.errors import ArgumentError, Note, arg
from scalefit.flops import QUANTITIES, SIZES, training_flops
from scalefit.laws import published
from scalefit.laws._base import Law
from scalefit.predictor import Predictor, predictor_of

#: Inputs that a plan finds or derives; any other is held, or chosen within a range.
PLANNED = (*QUANTITIES, "unique_tokens")
#: Draws used for intervals: percentiles of 90 % move by 1 % of their width with more.
N_DRAWS = 500
#: Repetitions of data worth having, borrowed where a law says nothing of repeated data.
_BORROWED = "muennighoff2023"


def weighs_size_against_tokens(law: type[Law]) -> bool:
    """Whether a law gives the loss [nat/token] in N and D, with no other input than a plan finds by itself."""
    return law.target.is_loss and law.target.sense < 0 and set(SIZES) <= set(law.inputs) <= set(PLANNED)


@dataclass(frozen=True, eq=False)
class Surface:
    """Loss [nat/token] at N [parameters] and D [tokens] under each of k parameter sets; row 0 is the estimate.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(columns, rows)`` gives the loss; columns have shape (k, ...) or broadcast to it.
    n_rows : int
        k; 1 where there are no draws.
    law : type of Law, optional
        The law behind it.
    params : mapping of str to ndarray (k,), optional
        Its parameters in natural units.
    unique_tokens : float, optional
        Distinct tokens there are [tokens]; more training repeats them.
    source : str
        Where the draws come from: ``"bootstrap"``, ``"robust covariance"``, ``"posterior"`` or ``"none"``.
    notes : tuple of Note
        What was borrowed or left out.
    sense : int
        -1 where less is better, +1 where more is.
    """

    evaluate: Callable[[Mapping[str, Any], slice], Any]
    n_rows: int
    law: type[Law] | None
    params: Mapping[str, Array] | None
    unique_tokens: float | None
    source: str
    notes: tuple[Note, ...]
    sense: int = -1

    def loss(self, N: Any, D: Any, rows: slice = slice(None)) -> Array:
        """Loss, shape (k, ...); axis 0 is the parameter set."""
        columns: dict[str, Any] = {"N": np.asarray(N, float), "D": np.asarray(D, float)}
        if self.unique_tokens is not None:
            columns["unique_tokens"] = np.minimum(columns["D"], self.unique_tokens)
        else:
            columns["unique_tokens"] = columns["D"]
        columns["C"] = training_flops(columns["N"], columns["D"])
        with np.errstate(all="ignore"):
            return np.asarray(self.evaluate(columns, rows), float)

    def worse(self, N: Any, D: Any) -> Array:
        """What a plan minimises (k, ...): the loss, or the negative of a target of which more is better."""
        value = self.loss(N, D)
        return value if self.sense < 0 else -value

    def fresh(self, D: float) -> float:
        """Fresh tokens that D are worth under the borrowed repetition constant; D itself without a data wall."""
        if self.unique_tokens is None:
            return D
        return float(effective_tokens(D, self.unique_tokens, borrowed_repeats()))

    def first(self) -> Surface:
        """Only the point estimate."""
        params = None if self.params is None else {key: value[:1] for key, value in self.params.items()}
        return replace(self, evaluate=partial(_first, self.evaluate), n_rows=1, params=params)


def _first(evaluate: Callable[[Mapping[str, Any], slice], Any], columns: Mapping[str, Any], _: slice) -> Any:
    return evaluate(columns, slice(0, 1))


def surface_of(result: Any, *, series: str | None = None, unique_tokens: float | None = None) -> Surface:
    """Return the surface of anything that predicts from N and D.

    Parameters
    ----------
    result : Predictor, or an object with ``predict(N=, D=)``
        Its parameters and draws are used where it has them; inputs beside N and D must be held (``result.at(...)``).
    series : str, optional
        Which series, for fits with ``by="shared"``.
    unique_tokens : float, optional
        Distinct tokens [tokens].

    Raises
    ------
    ArgumentError
        The law does not weigh N against D, needs an input that is not held, or predicts a setting.
    """
    predictor = predictor_of(result)
    law = predictor.law
    refuse_settings(law)
    if law is None:
        return _from_predict(predictor, type(result).__name__, unique_tokens)
    if not set(SIZES) <= set(predictor.inputs):
        raise ArgumentError(
            f"Law {law.name} reads {', '.join(predictor.inputs)}: it does not weigh N against D, so it cannot plan",
            "no plan was made",
            "Fit a law in N and D, such as 'chinchilla'",
        )
    free = sorted(set(predictor.inputs) - set(PLANNED))
    if free:
        declared = law.declarations.get(free[0])
        typical = (tuple(declared.typical) if declared is not None else ()) or (1, 64)
        raise ArgumentError(
            f"Law {law.name} also needs {', '.join(free)}, which a plan does not choose by itself",
            "no plan was made",
            (
                f"hold {'it' if len(free) == 1 else 'them'}, {arg('at', dict.fromkeys(free, ...))}",
                f"let the plan choose within a range, {arg('choose', {free[0]: (typical[0], typical[-1])})}",
            ),
        )
    params, source = _parameter_rows(predictor, series)
    n_rows = len(next(iter(params.values())))
    notes: list[Note] = []
    repeats: Mapping[str, float] | None = None
    if unique_tokens is not None and "unique_tokens" not in predictor.inputs:
        law, params, repeats, note = _borrow_repetition(law, params, n_rows)
        notes.append(note)
    held = dict(predictor.held_inputs)

    evaluate = partial(_of_law, law, params, held, None if repeats is None else repeats["R_D"])
    return Surface(evaluate, n_rows, law, params, unique_tokens, source, tuple(notes), sense_of(law))


def _of_law(
    law: type[Law],
    params: Mapping[str, Array],
    held: Mapping[str, float],
    R_D: float | None,
    columns: Mapping[str, Any],
    rows: slice,
) -> Any:
    depth = np.ndim(columns["N"]) - 1
    values = {key: value[rows].reshape(-1, *(1,) * max(depth, 0)) for key, value in params.items()}
    if R_D is not None:
        columns = {**columns, "D": effective_tokens(columns["D"], columns["unique_tokens"], R_D)}
    return law.evaluate({**columns, **held}, values)


def sense_of(law: type[Law] | None) -> int:
    """-1 where less of what the law predicts is better, as of a loss, +1 where more is, 0 for a setting."""
    return -1 if law is None else int(law.target.sense)


def refuse_settings(law: type[Law] | None) -> None:
    """Refuse to plan with a law whose target is neither better high nor low.

    Raises
    ------
    ArgumentError
        With the name of the target.
    """
    if law is not None and sense_of(law) == 0:
        raise ArgumentError(
            f"Law {law.name} predicts {law.target.name}, a setting of which neither more nor less is better: there "
            "is nothing to plan for",
            "no plan was made",
            "Plan with a law of the loss; predict gives the setting",
        )


def borrowed_repeats() -> float:
    """R_D*, repetitions of data worth having, where a law says nothing of repeated data [-]."""
    return float(published("data_constrained", _BORROWED).constants.values["R_D"])


def effective_tokens(D: Any, unique_tokens: Any, R_D: float) -> Any:
    """Fresh tokens that D tokens drawn from `unique_tokens` are worth (Muennighoff et al. 2023, eq. 5)."""
    unique = np.minimum(D, unique_tokens)
    return unique * (1 + R_D * -np.expm1(-(D / unique - 1) / R_D))


def _from_predict(predictor: Predictor, name: str, unique_tokens: float | None) -> Surface:
    notes: tuple[Note, ...] = ()
    repeats = None
    if unique_tokens is not None:
        repeats = borrowed_repeats()
        notes = (_borrowed_note(name, f"R_D* = {repeats:.3g}"),)

    return Surface(partial(_of_predictor, predictor, repeats), 1, None, None, unique_tokens, "none", notes)


def _of_predictor(predictor: Predictor, R_D: float | None, columns: Mapping[str, Any], rows: slice) -> Any:
    N, D = np.broadcast_arrays(columns["N"], columns["D"])
    if R_D is not None:
        D = effective_tokens(D, columns["unique_tokens"], R_D)
    return np.asarray(predictor.predict(N=N.ravel(), D=D.ravel()), float).reshape(N.shape)


def _parameter_rows(predictor: Predictor, series: str | None) -> tuple[dict[str, Array], str]:
    """Parameters by name (k,), the estimate first, and where the draws come from."""
    assert predictor.law is not None
    point = {str(key): float(value) for key, value in predictor.params.items()}
    if series is not None and not predictor.series:
        raise ArgumentError(
            f"{arg('series', series)} was given, and this result has no series to choose from",
            "nothing was computed",
            f"Leave {arg('series')} out, or fit with {arg('by', 'shared')}",
        )
    if predictor.series and series not in predictor.series:
        raise ArgumentError(
            f"{arg('series', series)} is not a series of this fit",
            "nothing was computed",
            f"Pass {arg('series')} one of {', '.join(predictor.series)}",
        )
    draws = predictor.draws(N_DRAWS)
    rows = {}
    for name in predictor.law.parameters:
        key = name if name in point else f"{name}[{series}]"
        rest = draws[key].to_numpy(float) if len(draws) else np.empty(0)
        rows[name] = np.concatenate([[point[key]], rest])
    return rows, str(draws.attrs.get("source", "none"))


def _borrow_repetition(
    law: type[Law], params: dict[str, Array], n_rows: int
) -> tuple[type[Law], dict[str, Array], Mapping[str, float] | None, Note]:
    """Give a law that says nothing of repeated data the published constants of one that does."""
    from scalefit.laws import get

    values = published("data_constrained", _BORROWED).constants.values
    if law.terms and law.terms == get("chinchilla").terms:  # one power of N and one of D, which that law extends
        both = {key: np.full(n_rows, values[key]) for key in ("R_D", "R_N")}
        text = f"R_D* = {values['R_D']:.3g} and R_N* = {values['R_N']:.3g}"
        return get("data_constrained"), {**params, **both}, None, _borrowed_note(law.name, text)
    return law, params, values, _borrowed_note(law.name, f"R_D* = {values['R_D']:.3g}")


def _borrowed_note(name: str, constants: str) -> Note:
    text = (
        f"{name} says nothing of repeated data; {constants} of Muennighoff et al. (2023) was borrowed for tokens seen "
        f"again. Fit 'data_constrained' to runs with several epochs to use your own."
    )
    return Note("borrowed_repetition", "warning", text)


def estimate_at(surface: Surface, N: float, D: float) -> float:
    """Loss [nat/token] of the law's point estimate at N [parameters] and D [tokens]."""
    return float(surface.loss(np.array([[N]]), np.array([[D]]), slice(0, 1))[0, 0])


def forecast_correction(predictor: Predictor, surface: Surface, N: float, D: float, series: str | None) -> float:
    """Ratio of the prediction to the law's value at N and D: forecasts add what their largest runs missed it by."""
    options: dict[str, Any] = {} if series is None else {"series": series}
    if predictor.correction(N=N, D=D, **options) == 1.0:
        return 1.0
    options |= drawn_on(predictor, surface.fresh(D))
    return float(np.asarray(predictor.predict(N=N, D=surface.fresh(D), **options))) / estimate_at(surface, N, D)


def wall_of(predictor: Predictor, asked: float | None) -> float | None:
    """Distinct tokens that there are [tokens]: as asked, or as a forecast was told to draw on by ``at``."""
    law = predictor.law
    if asked is not None or law is None or "unique_tokens" in law.inputs:
        return asked
    return predictor.held_inputs.get("unique_tokens")


def drawn_on(predictor: Predictor, unique: Any) -> dict[str, Any]:
    """The distinct tokens [tokens], as an input for a forecast, which counts repeats by itself; else nothing."""
    reads = set(predictor.law.inputs if predictor.law is not None else ())
    counts = predictor.calibrated and set(SIZES) <= reads and "unique_tokens" not in reads
    return {"unique_tokens": unique} if counts and unique is not None else {}

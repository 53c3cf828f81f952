"""The loss over model size and tokens, for a point estimate and its draws at once.

Whatever predicts can be planned with: a fit (bootstrap draws, or draws from its robust covariance), a published law
(no draws, so no intervals), or an object with nothing but ``predict``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.errors import ArgumentError, Note
from scalefit.laws import published
from scalefit.laws._base import Law

#: Draws used for intervals: percentiles of 90 % move by 1 % of their width with more.
N_DRAWS = 500
#: Repetitions of data worth having, borrowed where a law says nothing of repeated data.
_BORROWED = "muennighoff2023"


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
    """

    evaluate: Callable[[Mapping[str, Any], slice], Any]
    n_rows: int
    law: type[Law] | None
    params: Mapping[str, Array] | None
    unique_tokens: float | None
    source: str
    notes: tuple[Note, ...]

    def loss(self, N: Any, D: Any, rows: slice = slice(None)) -> Array:
        """Loss (k, ...) at N and D, whose first axis is the parameter sets'."""
        columns: dict[str, Any] = {"N": np.asarray(N, float), "D": np.asarray(D, float)}
        if self.unique_tokens is not None:
            columns["unique_tokens"] = np.minimum(columns["D"], self.unique_tokens)
        else:
            columns["unique_tokens"] = columns["D"]
        columns["C"] = 6.0 * columns["N"] * columns["D"]
        with np.errstate(all="ignore"):
            return np.asarray(self.evaluate(columns, rows), float)

    def fresh(self, D: float) -> float:
        """Fresh tokens that D are worth under the borrowed repetition constant; D itself without a data wall."""
        if self.unique_tokens is None:
            return D
        return float(effective_tokens(D, self.unique_tokens, borrowed_repeats()))

    def first(self) -> Surface:
        """Only the point estimate."""
        params = None if self.params is None else {key: value[:1] for key, value in self.params.items()}
        return replace(self, evaluate=lambda columns, _: self.evaluate(columns, slice(0, 1)), n_rows=1, params=params)


def surface_of(result: Any, *, series: str | None = None, unique_tokens: float | None = None) -> Surface:
    """Return the surface of anything that predicts.

    Parameters
    ----------
    result : FitResult, PublishedLaw, or an object with ``predict(N=, D=)``
        With ``law`` and ``params`` its parameters are used; with ``draws`` or a covariance there are intervals.
    series : str, optional
        Which series, for fits with ``by="shared"``.
    unique_tokens : float, optional
        Distinct tokens [tokens].

    Raises
    ------
    ArgumentError
        The law does not weigh N against D.
    """
    law = getattr(result, "law", None)
    if law is None or not hasattr(law, "evaluate"):
        if not hasattr(result, "predict"):
            raise ArgumentError(
                f"A plan needs something that predicts, and {type(result).__name__} does not; no plan was made. Pass "
                "what sf.fit, sf.forecast or sf.published returned."
            )
        return _from_predict(result, unique_tokens)
    known = {"N", "D", "C", "unique_tokens"}
    if not {"N", "D"} <= set(law.inputs):
        raise ArgumentError(
            f"Law {law.name} reads {', '.join(law.inputs)}: it does not weigh N against D, so it cannot plan, and no "
            "plan was made. Fit a law in N and D, such as 'chinchilla'."
        )
    if set(law.inputs) - known:
        raise ArgumentError(
            f"Law {law.name} also needs {', '.join(sorted(set(law.inputs) - known))}, which a plan does not choose; "
            "no plan was made. Plan with a law in N and D, such as 'chinchilla'."
        )
    params, source = _parameter_rows(result, series)
    n_rows = len(next(iter(params.values())))
    notes: list[Note] = []
    repeats: Mapping[str, float] | None = None
    if unique_tokens is not None and "unique_tokens" not in law.inputs:
        law, params, repeats, note = _borrow_repetition(law, params, n_rows)
        notes.append(note)

    def evaluate(columns: Mapping[str, Any], rows: slice) -> Any:
        depth = np.ndim(columns["N"]) - 1
        values = {key: value[rows].reshape(-1, *(1,) * max(depth, 0)) for key, value in params.items()}
        if repeats is not None:
            columns = {**columns, "D": effective_tokens(columns["D"], columns["unique_tokens"], repeats["R_D"])}
        return law.evaluate(columns, values)

    return Surface(evaluate, n_rows, law, params, unique_tokens, source, tuple(notes))


def borrowed_repeats() -> float:
    """R_D*, repetitions of data worth having, where a law says nothing of repeated data [-]."""
    return float(published("data_constrained", _BORROWED).constants.values["R_D"])


def effective_tokens(D: Any, unique_tokens: Any, R_D: float) -> Any:
    """Fresh tokens that D tokens drawn from `unique_tokens` are worth (Muennighoff et al. 2023, eq. 5)."""
    unique = np.minimum(D, unique_tokens)
    return unique * (1 + R_D * -np.expm1(-(D / unique - 1) / R_D))


def _from_predict(result: Any, unique_tokens: float | None) -> Surface:
    notes: tuple[Note, ...] = ()
    repeats = None
    if unique_tokens is not None:
        repeats = borrowed_repeats()
        notes = (_borrowed_note(type(result).__name__, f"R_D* = {repeats:.3g}"),)

    def evaluate(columns: Mapping[str, Any], rows: slice) -> Any:
        N, D = np.broadcast_arrays(columns["N"], columns["D"])
        if repeats is not None:
            D = effective_tokens(D, columns["unique_tokens"], repeats)
        return np.asarray(result.predict(N=N.ravel(), D=D.ravel()), float).reshape(N.shape)

    return Surface(evaluate, 1, None, None, unique_tokens, "none", notes)


def _parameter_rows(result: Any, series: str | None) -> tuple[dict[str, Array], str]:
    """Parameters by name (k,), the estimate first, and where the draws come from."""
    law = result.law
    names = list(law.parameters)
    point = {key: float(value) for key, value in dict(result.params).items()}
    if series is not None and not getattr(result, "series", None):
        raise ArgumentError(
            f"series={series!r} was given, and this result has no series to choose from. Nothing was computed. Leave "
            f"series= out, or fit with by='shared'."
        )
    if getattr(result, "series", None) and hasattr(result, "_group"):
        result._group(series)  # refuses an unknown series by name
    keys = {name: name if name in point else f"{name}[{series}]" for name in names}
    draws, source = _draws(result)
    rows = {}
    for name in names:
        first = np.array([point[keys[name]]])
        rest = [] if draws is None else [np.broadcast_to(np.asarray(draws[keys[name]], float), (draws["_n"],))]
        rows[name] = np.concatenate([first, *rest])
    return rows, source


def _draws(result: Any) -> tuple[dict[str, Any] | None, str]:
    """Draws of the parameters by name, and their kind; None where a result has neither draws nor a covariance."""
    if hasattr(result, "natural"):
        found = getattr(result, "interval_draws", None)
        if found is not None:
            found = np.asarray(found)
            if len(found) > N_DRAWS:
                found = found[np.linspace(0, len(found) - 1, N_DRAWS).astype(int)]
            asked = getattr(result, "draws", None) is not None
            return {**result.natural(found), "_n": len(found)}, "bootstrap" if asked else "refits"
        steps = _normal(result.x, result.free_cov, getattr(result, "seed", 0))
        lower, upper = result.problem.bounds(result.bounds or {})
        return {**result.natural(np.clip(steps, lower, upper)), "_n": N_DRAWS}, "robust covariance"
    fitted, problem = getattr(result, "fitted", None), getattr(result, "problem", None)
    if fitted is None or problem is None:
        return None, "none"
    # A forecast keeps its posterior in the engine's own variables, as a fit does.
    values = {key: value.ravel() for key, value in problem.values(_normal(fitted.x, fitted.cov, 0), 0).items()}
    if result.law.rescale is not None:
        values = result.law.rescale(values, {key: 1.0 / unit for key, unit in problem.units.items()})
    return {**values, "_n": N_DRAWS}, "posterior"


def _normal(x: Array, cov: Array, seed: int) -> Array:
    """Normal draws (N_DRAWS, p); parameters without a variance stay where they are."""
    values, vectors = np.linalg.eigh(np.nan_to_num(cov))
    steps = np.random.default_rng(seed).standard_normal((N_DRAWS, len(values)))
    return np.asarray(x + (steps * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def _borrow_repetition(
    law: type[Law], params: dict[str, Array], n_rows: int
) -> tuple[type[Law], dict[str, Array], Mapping[str, float] | None, Note]:
    """Give a law that says nothing of repeated data the published constants of one that does."""
    from scalefit.laws import get

    values = published("data_constrained", _BORROWED).constants.values
    if law.name == "chinchilla":
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

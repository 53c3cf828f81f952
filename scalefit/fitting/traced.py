"""Exact first and second derivatives of any law, from its formula alone.

A law is evaluated once on numbers that remember how they were made. Slopes go forward, each over the parameters that it
depends on alone, and what every step adds to a weighted sum of second derivatives is taken on the way back: products of
slopes (Gower & Mello 2012, doi:10.1080/10556788.2011.580098). For p parameters that is the work of about p
evaluations, where differences of slopes take p of these for each of p moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from scalefit._typing import Array
from scalefit.laws._base import Law

#: A value's slopes: the places of the parameters that it depends on, and the slopes by these (b, k, m or 1).
_Slopes = tuple[tuple[int, ...], Array]
#: Of each parameter of a law: its place among free entries, or its value.
_Params = Mapping[str, int | float]


class Traced(NDArrayOperatorsMixin):
    """A value (b, m or 1), and how it was made.

    Parameters
    ----------
    value : ndarray (b, m) or (b, 1)
        The value.
    tape : list
        All values of one evaluation, in the order in which they were made.
    parents : sequence of (Traced, partial or None)
        What it was made of, with its slope by each; None is 1.
    bends : sequence of (Traced, Traced, second partial or None)
        Its second slopes by its parents, a mixed one once.
    slopes : optional
        Of a value that is not made of others.
    """

    __slots__ = ("_slopes", "bends", "parents", "pull", "tape", "value")

    def __init__(
        self,
        value: Array,
        tape: list[Traced],
        parents: Sequence[tuple[Traced, Any]] = (),
        bends: Sequence[tuple[Traced, Traced, Any]] = (),
        slopes: _Slopes | None = None,
    ) -> None:
        self.value, self.tape, self.parents, self.bends = value, tape, parents, bends
        self.pull: Any = None
        self._slopes = slopes
        tape.append(self)

    @property
    def slopes(self) -> _Slopes:
        """Slopes by the parameters; those of a value that nothing asks for are never taken."""
        if self._slopes is None:
            parts = [(u.slopes, partial) for u, partial in self.parents]
            self._slopes = _times(*parts[0]) if len(parts) == 1 else _joined(*(_times(*part) for part in parts))
        return self._slopes

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a traced value is no plain array")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            return NotImplemented
        if ufunc in _COMPARES:
            return ufunc(*map(_plain, inputs))
        rule = _RULES.get(ufunc)
        return NotImplemented if rule is None else rule(*inputs)

    def __array_function__(self, function: Any, _: Any, inputs: Any, options: Any) -> Any:
        if options:
            return NotImplemented
        if function is np.real:
            return self.value
        if function is np.where and len(inputs) == 3:
            return _chosen(*inputs)
        return NotImplemented if function is not np.ones_like else np.ones_like(self.value)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Traced) else value


def _over(partial: Any) -> Any:
    """A partial slope, shaped to multiply slopes (b, k, m)."""
    return partial[:, None] if np.ndim(partial) == 2 else partial


def _times(slopes: _Slopes, partial: Any) -> _Slopes:
    return slopes if partial is None else (slopes[0], slopes[1] * _over(partial))


def _joined(one: _Slopes, other: _Slopes) -> _Slopes:
    """Sum of slopes, each over parameters of its own."""
    (places, left), (more, right) = one, other
    if more == places:
        return places, left + right
    every, at_left, at_right, apart = _union(places, more)
    m = max(left.shape[2], right.shape[2])
    out = np.empty((len(left), len(every), m)) if apart else np.zeros((len(left), len(every), m))
    out[:, at_left] = left
    if apart:
        out[:, at_right] = right
    else:
        out[:, at_right] += right
    return every, out


@lru_cache(maxsize=4096)
def _union(places: tuple[int, ...], more: tuple[int, ...]) -> tuple[tuple[int, ...], Any, Any, bool]:
    """All places, where those of each stand among them, and whether the two have none in common."""
    every = tuple(sorted({*places, *more}))
    left, right = (_run([every.index(at) for at in part]) for part in (places, more))
    return every, left, right, len(every) == len(places) + len(more)


def _run(at: Sequence[int]) -> Any:
    """Positions, as a slice where they follow each other."""
    return slice(at[0], at[-1] + 1) if at[-1] - at[0] == len(at) - 1 else list(at)


@lru_cache(maxsize=4096)
def _square_of(rows: tuple[int, ...], columns: tuple[int, ...]) -> Any:
    """Where a part of a matrix goes."""
    left, right = _run(rows), _run(columns)
    if isinstance(left, list) and isinstance(right, list):
        return slice(None), np.array(left)[:, None], np.array(right)
    return slice(None), left, right


# -- rules of each function --------------------------------------------------------------------------------------------


def _unary(ufunc: Any, slopes: Callable[[Array, Array], tuple[Any, Any]]) -> Callable[[Traced], Traced]:
    """Rule of a function of one value u: its first and second slope from u and what it gives."""

    def rule(u: Traced) -> Traced:
        value = ufunc(u.value)
        first, second = slopes(u.value, value)
        return Traced(value, u.tape, ((u, first),), () if second is None else ((u, u, second),))

    return rule


def _linear(value: Any, u: Any, by_u: Any, v: Any, by_v: Any) -> Traced:
    if not isinstance(v, Traced):
        return Traced(value, u.tape, ((u, by_u),))
    if not isinstance(u, Traced):
        return Traced(value, v.tape, ((v, by_v),))
    return Traced(value, u.tape, ((u, by_u), (v, by_v)))


def _add(u: Any, v: Any) -> Traced:
    return _linear(_plain(u) + _plain(v), u, None, v, None)


def _subtract(u: Any, v: Any) -> Traced:
    return _linear(_plain(u) - _plain(v), u, None, v, -1.0)


def _multiply(u: Any, v: Any) -> Traced:
    if u is v:
        return _square(u)
    a, b = _plain(u), _plain(v)
    if not (isinstance(u, Traced) and isinstance(v, Traced)):
        return _linear(a * b, u, b, v, a)
    return Traced(a * b, u.tape, ((u, b), (v, a)), ((u, v, None),))


def _divide(u: Any, v: Any) -> Any:
    return _multiply(u, _reciprocal(v)) if isinstance(v, Traced) else Traced(u.value / v, u.tape, ((u, 1.0 / v),))


def _power(u: Any, v: Any) -> Any:
    if not isinstance(v, Traced):
        value, under = np.power(u.value, v), np.power(u.value, v - 1.0)
        return Traced(value, u.tape, ((u, v * under),), ((u, u, v * (v - 1.0) * np.power(u.value, v - 2.0)),))
    if isinstance(u, Traced):
        return _exp(_multiply(v, _log(u)))
    u = np.asarray(u, float)
    # Nothing to any power is nothing: that does not move with the power.
    log = np.log(np.where(u == 0, 1.0, u))
    value = np.exp(log * v.value) if (u > 0).all() else np.power(u, v.value)
    first = value * log
    return Traced(value, v.tape, ((v, first),), ((v, v, first * log),))


def _chosen(condition: Any, u: Any, v: Any) -> Traced:
    chosen = np.asarray(_plain(condition), bool)
    value = np.where(chosen, _plain(u), _plain(v))
    return _linear(value, u, chosen.astype(float), v, (~chosen).astype(float))


def _larger(u: Any, v: Any) -> Traced:
    return _chosen(_plain(u) >= _plain(v), u, v)


def _smaller(u: Any, v: Any) -> Traced:
    return _chosen(_plain(u) <= _plain(v), u, v)


_LN2, _LN10 = np.log(2.0), np.log(10.0)
_exp = _unary(np.exp, lambda u, f: (f, f))
_log = _unary(np.log, lambda u, f: (1 / u, -1 / u**2))
_square = _unary(np.square, lambda u, f: (2 * u, 2.0))
_reciprocal = _unary(np.reciprocal, lambda u, f: (-f * f, 2 * f**3))
_RULES: dict[Any, Callable[..., Any]] = {
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: _multiply,
    np.divide: _divide,
    np.power: _power,
    np.maximum: _larger,
    np.minimum: _smaller,
    np.exp: _exp,
    np.log: _log,
    np.square: _square,
    np.reciprocal: _reciprocal,
    np.positive: lambda u: u,
    np.negative: _unary(np.negative, lambda u, f: (-1.0, None)),
    np.sqrt: _unary(np.sqrt, lambda u, f: (0.5 / f, -0.25 / (f * u))),
    np.expm1: _unary(np.expm1, lambda u, f: (f + 1, f + 1)),
    np.log1p: _unary(np.log1p, lambda u, f: (1 / (1 + u), -1 / (1 + u) ** 2)),
    np.log2: _unary(np.log2, lambda u, f: (1 / (_LN2 * u), -1 / (_LN2 * u**2))),
    np.log10: _unary(np.log10, lambda u, f: (1 / (_LN10 * u), -1 / (_LN10 * u**2))),
    np.exp2: _unary(np.exp2, lambda u, f: (_LN2 * f, _LN2**2 * f)),
    np.tanh: _unary(np.tanh, lambda u, f: (1 - f * f, -2 * f * (1 - f * f))),
}
_COMPARES = {np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, np.isfinite, np.isnan}


# -- a law -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A law at some runs and parameters, with what leads to its slopes.

    Attributes
    ----------
    root : Traced
        The law's value (b, m).
    seeds : list of Traced
        The q free entries that it was made of, those that are logarithms as their exponentials.
    logs : sequence of bool
        Which are.
    """

    root: Traced
    seeds: list[Traced]
    logs: Sequence[bool]

    def slopes(self, m: int) -> Array:
        """Slopes (b, q, m) of the law by every entry."""
        places, slopes = self.root.slopes
        out = np.zeros((len(slopes), len(self.seeds), m))
        out[:, _run(places)] = slopes
        return out

    def bent(self, pull: Array) -> Array:
        """Sum over the runs of `pull` (b, m) times the law's second slopes (b, q, q)."""
        q = len(self.seeds)
        out = np.zeros((len(pull), q, q))
        self.root.pull = pull
        for node in reversed(self.root.tape):
            if node.pull is None or not node.parents:
                continue
            for u, v, second in node.bends:
                _add_bend(out, u, v, node.pull if second is None else node.pull * second)
            for parent, partial in node.parents:
                part = node.pull if partial is None else node.pull * partial
                if parent.value.shape[1] == 1 and part.shape[1] > 1:  # the same for all runs
                    part = part.sum(axis=1, keepdims=True)
                parent.pull = part if parent.pull is None else parent.pull + part
        for at, (seed, is_log) in enumerate(zip(self.seeds, self.logs, strict=True)):
            if is_log and seed.pull is not None:
                out[:, at, at] += (seed.pull * seed.value).sum(axis=1)
        self.root.tape.clear()  # a tape and what is on it hold each other
        return out


def _add_bend(out: Array, u: Traced, v: Traced, pull: Array) -> None:
    (rows, left), (columns, right) = u.slopes, v.slopes
    m = max(left.shape[2], right.shape[2])
    if m == 1 and pull.shape[1] > 1:
        pull = pull.sum(axis=1, keepdims=True)
    weighted = left * pull[:, None]
    if right.shape[2] < weighted.shape[2]:
        weighted = weighted.sum(axis=2, keepdims=True)
    part = weighted @ right.swapaxes(1, 2)
    out[_square_of(rows, columns)] += part
    if u is not v:
        out[_square_of(columns, rows)] += part.swapaxes(1, 2)


def trace(law: type[Law], columns: Mapping[str, Array], x: Array, logs: Sequence[bool], params: _Params) -> Any:
    """A law at free entries x (b, q): each parameter is an entry, by its place, or a number of its own."""
    tape: list[Traced] = []
    values, one = np.where(logs, np.exp(np.where(logs, x, 0.0)), x), np.ones((len(x), 1, 1))
    seeds = []
    for at, is_log in enumerate(logs):
        value = values[:, at : at + 1]
        seeds.append(Traced(value, tape, slopes=((at,), value[:, None] if is_log else one)))
    found = law.evaluate(columns, {k: v if isinstance(v, float) else seeds[v] for k, v in params.items()})
    if not isinstance(found, Traced):
        return None
    return Trace(found, seeds, logs)


@lru_cache(maxsize=256)
def can_trace(law: type[Law]) -> bool:
    """Whether a law is made of functions that have a rule here."""
    example = law.example()
    columns = {name: np.asarray(declared.typical, float)[:1] for name, declared in law.declarations.items()}
    x = np.array([list(example.values())])
    try:
        with np.errstate(all="ignore"):
            found = trace(law, columns, x, [False] * x.size, {name: j for j, name in enumerate(example)})
    except Exception:  # a law of one's own may do anything with its arguments
        return False
    return found is not None and found.root.value.ndim == 2

"""Model size against tokens: the optimum on a budget, for a target loss, or through a given size or ratio.

Everything is done for all parameter sets of a :class:`~scalefit.planning.loss_surface.Surface` at once. Costs are
``6 N D`` for training and ``2 N T`` for serving T tokens, T weighed by what a served FLOP costs against a trained one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._numeric import lowest as lowest
from scalefit._typing import Array
from scalefit.flops import SIZES
from scalefit.flops import TRAIN as TRAIN
from scalefit.laws._base import Law
from scalefit.planning.loss_surface import Surface, estimate_at, forecast_correction
from scalefit.predictor import Predictor

SERVE = 2.0  # FLOP per parameter and token of a forward pass
#: Points of the first and of each finer grid over ln N, corrections of a forecast, and when they are close enough.
_GRID, _ZOOM = 65, 17
_CORRECTIONS, _CLOSE = 12, 1e-6
#: Step [ln] of central differences of exponents.
_STEP = 1e-4
#: Sizes and tokens searched [ln]: from one to 1e30.
_LOW, _HIGH = 0.0, float(np.log(1e30))


@dataclass(frozen=True, slots=True)
class Allocation:
    """Where the optimum lies for each parameter set; NaN where there is none.

    Attributes
    ----------
    N, D : ndarray (k,)
        Sizes [parameters] and tokens seen [tokens].
    cost : ndarray (k,)
        Training and weighed serving compute [FLOP].
    """

    N: Array
    D: Array
    cost: Array


def cost_of(N: Any, D: Any, served: float) -> Any:
    """Training compute plus weighed serving compute [FLOP]."""
    return N * (TRAIN * D + SERVE * served)


def on_budget(
    surface: Surface, C: Any, served: float = 0.0, *, near: Array | None = None, exact: bool = True
) -> Allocation:
    """Lowest loss that costs C [FLOP].

    Parameters
    ----------
    surface : Surface
        The loss.
    C : float or ndarray (k,)
        Budget of training and serving [FLOP].
    served : float
        Tokens to be served [tokens], weighed by their price.
    near : ndarray (k,), optional
        ln N close to which the optimum is known to lie.
    exact : bool
        Use the closed form where the law has one.

    Returns
    -------
    Allocation
    """
    k = surface.n_rows
    budget = np.broadcast_to(np.asarray(C, float), (k,))
    if exact and served == 0 and surface.unique_tokens is None and surface.sense < 0:
        closed = closed_form(surface, budget)
        if closed is not None:
            return closed
    # D >= 1 token leaves N <= C / (6 + 2 T).
    top = np.log(budget / (TRAIN + SERVE * served))
    low, high = np.full(k, _LOW), np.maximum(top, _LOW + 1e-6)
    if near is not None:
        low, high = np.maximum(low, near - 2.0), np.minimum(high, near + 2.0)
        high = np.maximum(high, low + 1e-6)

    def along(u: Array) -> Array:
        N = np.exp(u)
        left = budget[:, None] - SERVE * N * served
        value = surface.worse(N, np.maximum(left / (TRAIN * N), 1e-300))
        return np.where(np.isfinite(value) & (left > 0), value, np.inf)

    u = lowest(along, low, high, _ZOOM if near is not None else _GRID)
    N = np.exp(u)
    return Allocation(N, (budget - SERVE * N * served) / (TRAIN * N), budget)


def closed_form(surface: Surface, budget: Array) -> Allocation | None:
    """Optimum of a law with one power of N and one of D: N* = G (C/6)^(beta/(alpha+beta)), Hoffmann et al. eq. 4."""
    found = _powers_of(surface)
    if found is None:
        return None
    A, alpha, B, beta = found
    with np.errstate(all="ignore"):
        log_g = np.log(alpha * A / (beta * B)) / (alpha + beta)
        N = np.exp(log_g + beta / (alpha + beta) * np.log(budget / TRAIN))
    return Allocation(N, budget / (TRAIN * N), np.asarray(budget))


def two_powers(law: type[Law]) -> tuple[str, str, str, str] | None:
    """Names of A, alpha, B and beta in a law with one power of N and one of D, whose optimum has a closed form."""
    powers = [term for term in law.terms if term.exponents]
    if len(powers) != 2 or any(len(term.exponents) != 1 for term in powers):
        return None
    by_input = {next(iter(term.exponents)): term for term in powers}
    if set(by_input) != set(SIZES):
        return None
    n, d = by_input["N"], by_input["D"]
    return n.coefficient, n.exponents["N"], d.coefficient, d.exponents["D"]


def _powers_of(surface: Surface) -> tuple[Array, Array, Array, Array] | None:
    """Values of A, alpha, B and beta (k,), where the law has them and all are positive."""
    names = None if surface.law is None or surface.params is None or surface.sense > 0 else two_powers(surface.law)
    if names is None or surface.params is None:
        return None
    A, alpha, B, beta = (surface.params[name] for name in names)
    return (A, alpha, B, beta) if all((value > 0).all() for value in (A, alpha, B, beta)) else None


def for_loss(surface: Surface, target: float, served: float = 0.0) -> Allocation:
    """Cheapest way to a target value; cost is infinite for parameter sets that never reach it.

    Newton's method on ln C, with dL*/d ln C from the envelope theorem; L* falls and is convex in ln C.
    """
    k, aim = surface.n_rows, target if surface.sense < 0 else -target
    log_c = np.full(k, np.log(1e20 + SERVE * served * 1e6))
    near: Array | None = None
    best = on_budget(surface, np.exp(log_c), served)
    open_ = np.ones(k, bool)
    for _ in range(60):
        loss = surface.worse(best.N[:, None], best.D[:, None])[:, 0]
        gain = _slopes(surface, best.N, best.D)[1] * best.cost / (TRAIN * best.N * best.D)
        with np.errstate(all="ignore"):
            step = (loss - aim) / gain
        step = np.clip(np.nan_to_num(step, nan=0.0, posinf=8.0, neginf=-8.0), -8.0, 8.0)
        log_c = np.where(open_, log_c + step, log_c)
        open_ &= (np.abs(step) > 1e-12) & (log_c < _HIGH * 2) & (log_c > 2.0)
        near = np.log(best.N) + 0.5 * step if np.abs(step).max() < 2.0 else None
        best = on_budget(surface, np.exp(log_c), served, near=near)
        if not open_.any():
            break
    reached = np.abs(surface.worse(best.N[:, None], best.D[:, None])[:, 0] - aim) < 1e-6 * abs(target)
    out = [np.where(reached, value, np.inf) for value in (best.N, best.D, best.cost)]
    return Allocation(*out)


def _slopes(surface: Surface, N: Array, D: Array) -> tuple[Array, Array]:
    """-dL/d ln N and -dL/d ln D (k,), by central differences."""
    up, down = np.exp(_STEP), np.exp(-_STEP)
    sizes = np.stack([N * down, N * up, N, N], axis=1)
    tokens = np.stack([D, D, D * down, D * up], axis=1)
    value = surface.worse(sizes, tokens)
    return (value[:, 0] - value[:, 1]) / (2 * _STEP), (value[:, 2] - value[:, 3]) / (2 * _STEP)


def imbalance(surface: Surface, N: Array, D: Array, served: float) -> Array:
    """Zero (k,) where N is the best size for its cost, positive where the model is too small for its tokens."""
    by_n, by_d = _slopes(surface, N, D)
    with np.errstate(all="ignore"):
        value = np.log(np.maximum(by_n, 1e-300)) - np.log(np.maximum(by_d, 1e-300))
        return np.asarray(value - np.log1p(SERVE * served / (TRAIN * D)))


def through(surface: Surface, held: str, value: float, served: float = 0.0) -> Allocation:
    """Plan that is best for its own cost and has N, D or D/N as given; NaN where no budget makes it so."""
    given = np.full(surface.n_rows, float(value))
    point: Callable[[Array], tuple[Array, Array]]
    sign: Array
    if held == "N":
        point, sign = lambda v: (given, np.exp(v)), np.array(1.0)
    elif held == "D":
        point, sign = lambda v: (np.exp(v), given), np.array(-1.0)
    else:
        point = lambda v: (np.exp(v), given * np.exp(v))  # noqa: E731
        probe = np.full(surface.n_rows, 1.0)
        sign = np.sign(
            imbalance(surface, *point(np.log(1e12) * probe), served)
            - imbalance(surface, *point(np.log(1e8) * probe), served)
        )
    root = bisect(lambda v: sign * imbalance(surface, *point(v), served), surface.n_rows, _LOW, _HIGH)
    N, D = point(root)
    bad = np.isnan(root)
    N, D = np.where(bad, np.nan, N), np.where(bad, np.nan, D)
    return Allocation(N, D, np.asarray(cost_of(N, D, served)))


def constrained(surface: Surface, question: str, value: float, fixed: Mapping[str, float], served: float) -> Allocation:
    """Meet a budget or a loss with N, D or D/N held at a value."""
    (held, at), k = next(iter(fixed.items())), surface.n_rows
    if question == "C":
        budget = np.full(k, float(value))
        if held == "N":
            N = np.full(k, at)
            D = (budget - SERVE * N * served) / (TRAIN * N)
        elif held == "D":
            D = np.full(k, at)
            N = budget / (TRAIN * D + SERVE * served)
        else:  # 6 r N^2 + 2 T N = C
            half = SERVE * served / (2 * TRAIN * at)
            N = np.sqrt(half**2 + budget / (TRAIN * at)) - half
            D = at * N
        return Allocation(N, D, budget)
    points: dict[str, Callable[[Array], tuple[Array, Array]]] = {
        "N": lambda v: (np.full(k, at), np.exp(v)),
        "D": lambda v: (np.exp(v), np.full(k, at)),
        "ratio": lambda v: (np.exp(v), at * np.exp(v)),
    }
    point, aim = points[held], value if surface.sense < 0 else -value

    def excess(v: Array) -> Array:
        N, D = point(v)
        return aim - surface.worse(N[:, None], D[:, None])[:, 0]

    root = bisect(excess, k, _LOW, _HIGH)
    N, D = point(root)
    bad = np.isnan(root)
    N, D = np.where(bad, np.inf, N), np.where(bad, np.inf, D)
    return Allocation(N, D, np.asarray(cost_of(N, D, served)))


def bisect(f: Callable[[Array], Array], k: int, low: float, high: float) -> Array:
    """Root (k,) of functions that rise through zero between low and high; NaN where they do not."""
    left, right = np.full(k, low), np.full(k, high)
    ok = (f(left) <= 0) & (f(right) >= 0)
    for _ in range(60):
        middle = 0.5 * (left + right)
        below = f(middle) < 0
        left, right = np.where(below, middle, left), np.where(below, right, middle)
    return np.where(ok, 0.5 * (left + right), np.nan)


def exponents(surface: Surface, plan: Allocation, served: float = 0.0) -> tuple[Array, Array]:
    """Slopes d ln N*/d ln C and d ln D*/d ln C (k,) at the plan's cost."""
    found = _powers_of(surface) if served == 0 and surface.unique_tokens is None else None
    if found is not None:
        _, alpha, _, beta = found
        return beta / (alpha + beta), alpha / (alpha + beta)
    step, near = 0.05, np.log(plan.N)
    more = on_budget(surface, plan.cost * np.exp(step), served, near=near)
    less = on_budget(surface, plan.cost * np.exp(-step), served, near=near)
    with np.errstate(all="ignore"):
        return np.log(more.N / less.N) / (2 * step), np.log(more.D / less.D) / (2 * step)


def reach_loss(
    predictor: Predictor, surface: Surface, series: str | None, loss: float, solve: Callable[[float], Allocation]
) -> tuple[Allocation, float]:
    """Allocation whose prediction is `loss`, and the forecast's correction there.

    Parameters
    ----------
    solve : callable
        Gives the allocation at which the law itself takes a value [nat/token]. The factor changes slowly with N and D,
        so a few rounds settle it.
    """
    correction = 1.0
    for _ in range(_CORRECTIONS):
        best = solve(loss / correction)
        n, d = float(best.N[0]), float(best.D[0])
        if not (np.isfinite(n) and np.isfinite(d)):
            break
        correction = forecast_correction(predictor, surface, n, d, series)
        if abs(correction * estimate_at(surface, n, d) / loss - 1) < _CLOSE:
            break
    return best, correction

"""Which runs to train next: those that determine the answer best per FLOP.

Draws of the fit's parameters show how a new run's loss and the answer vary together. A run helps most if its loss is
well correlated with the answer, and uncertain compared with the noise of runs. Runs are chosen one after another, each
given those before it, under several prices for a FLOP (Bayesian linear design, Chaloner & Verdinelli 1995); then single
runs are swapped while that helps, and the set that leaves the least variance is returned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import check_count, check_quantity, one_of
from scalefit._calls import explained
from scalefit._numeric import MAD_TO_SD, robust_sd
from scalefit._text import known
from scalefit._typing import Array
from scalefit.errors import ArgumentError, arg
from scalefit.extrapolation import AHEAD, times_largest
from scalefit.fitting.intervals import relative_residuals
from scalefit.fitting.result import fit_behind
from scalefit.flops import SIZES
from scalefit.planning import allocation
from scalefit.planning.limits import refuse_absurd
from scalefit.planning.loss_surface import N_DRAWS, Surface, surface_of
from scalefit.predictor import Predictor, predictor_of

if TYPE_CHECKING:
    import pandas as pd

#: Grid of candidate runs over N and over tokens per parameter (a guess).
_SIZES, _RATIOS = 28, 13
#: Tokens per parameter that are ever proposed.
_RATIO_RANGE = (1.0, 1000.0)
#: Prices of a FLOP, and largest shares of the budget that one run may take, that are tried.
_PRICES, _SHARES = (0.0, 0.25, 0.75), (1.0, 0.5, 0.34, 0.25, 0.17, 0.125)
#: Sets of runs that are polished, swaps in each, and directions of the draws that are kept.
_POLISHED, _SWAPS, _COORDINATES = 4, 24, 10
#: Noise of a run's ln loss where the result does not show it.
_NOISE = 0.003
#: Relative spread of an answer's draws that is rounding and not doubt.
_ROUNDING = 1e-12


@explained
def next_runs(
    result: Any,
    budget: float | str,
    *,
    target: str = "loss",
    C: float | str | None = None,
    n_runs: int = 8,
    noise: float | None = None,
    series: str | None = None,
) -> pd.DataFrame:
    """Choose the runs that reduce the uncertainty of an answer most for their compute.

    Parameters
    ----------
    result : FitResult
        A fit. Its uncertainty comes from the information in its runs and the size of its residuals; where
        that is singular, from its bootstrap draws.
    budget : float or str
        Compute of all new runs together [FLOP].
    target : str
        What to determine better: ``"loss"`` at the plan for `C`, ``"N"`` (the optimal size at `C`), or a parameter of
        the law, such as ``"E"`` or ``"alpha"``.
    C : float or str, optional
        Budget of the plan in view [FLOP]; 100 times the largest run by default.
    n_runs : int
        Largest number of runs to propose.
    noise : float, optional
        Standard deviation of a run's ln loss between seeds; from the fit's residuals by default.
    series : str, optional
        Which series, for fits with ``by="shared"``.

    Returns
    -------
    DataFrame
        One row per run, in the order to train: ``N`` [parameters], ``D`` [tokens], ``C`` [FLOP] and ``gain``, the share
        of the answer's variance that the run removes given those above it. ``attrs["design"]`` holds ``sd_before`` and
        ``sd_after`` of the answer.

    Raises
    ------
    ArgumentError
        The result has no draws, the target is unknown or has no uncertainty, or the budget is too small for a run.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> N, D = (a.ravel() for a in np.meshgrid([3e7, 1e8, 3e8, 1e9], [1e9, 4e9, 1.6e10]))
    >>> loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    >>> loss = loss * np.exp(0.003 * np.random.default_rng(0).standard_normal(N.size))
    >>> runs = sf.next_runs(sf.fit({"N": N, "D": D, "loss": loss}), budget=1e21, n_runs=4)
    >>> list(runs.columns), bool(runs["C"].sum() <= 1e21), bool((runs["gain"] > 0).all())
    (['N', 'D', 'C', 'gain'], True, True)
    """
    import pandas as pd

    predictor = predictor_of(result)
    asked = times_largest(predictor.seen, {"budget": budget, "C": C})
    total, most = check_quantity("budget", asked["budget"]), check_count("n_runs", n_runs)
    spread = None if noise is None else check_quantity("noise", noise)
    refuse_absurd(predictor, "C", total, named="budget")
    surface = surface_of(_informed(predictor), series=series)
    if surface.n_rows < 20:
        raise ArgumentError(
            f"The next runs follow from what a fit does not know, and this {type(result).__name__} has "
            f"{surface.n_rows - 1} draws that say it",
            "no run was chosen",
            "Pass what sf.fit returned; where its information is singular, result.bootstrap() first",
        )
    seen = _seen(predictor, type(result).__name__)
    ahead = AHEAD * float(seen["C"].max()) if C is None else check_quantity("C", asked["C"])
    refuse_absurd(predictor, "C", ahead)
    answer, name = _answer(surface, target, ahead)
    if answer.std() <= _ROUNDING * max(1.0, abs(float(answer.mean()))):
        raise ArgumentError(
            f"The fit leaves no doubt about {name}: its standard deviation is {answer.std():.2g}",
            "no run was chosen to make it more certain",
            "Choose another target, or free what holds it: a fixed parameter, or one at its bound",
        )
    sizes, tokens = _candidates(seen, total)
    cost = allocation.TRAIN * sizes * tokens
    logs = _winsorized(np.log(surface.loss(sizes[None], tokens[None]))[1:])
    spread = _noise(predictor) if spread is None else spread
    variance = np.full(cost.size, spread**2)
    problem = _Problem.of(answer, logs, variance, cost)
    starts = {tuple(_greedy(problem, total, most, p, s)) for p in _PRICES for s in _SHARES} - {()}
    tries = sorted((list(start) for start in starts), key=problem.variance)[:_POLISHED]
    if not tries:
        raise ArgumentError(
            f"{arg('budget', shown=f'{total:.3g}')} FLOP buys none of the {cost.size} runs that were tried",
            "no run was chosen",
            "Raise it",
        )
    best = min((_exchange(problem, start, total) for start in tries), key=problem.variance)
    chosen, left = _in_order(problem, best)
    before = float(answer.var())
    frame = pd.DataFrame({"N": sizes[chosen], "D": tokens[chosen], "C": cost[chosen]})
    frame["gain"] = -np.diff(np.concatenate([[before], left])) / before
    frame.attrs["design"] = {
        "target": target,
        "target_name": name,
        "C_plan": ahead,
        "C_total": float(frame["C"].sum()),
        "noise": spread,
        "sd_before": float(np.sqrt(before)),
        "sd_after": float(np.sqrt(left[-1])),
    }
    return frame


def _informed(predictor: Predictor) -> Predictor:
    """The result with draws from the information in its runs: normal, with covariance s^2 (J'J)^-1.

    On pilots of 18 runs these choose better runs than case resamples of the pilot, which are too few to tell how the
    parameters move together. Fits whose information is singular, or of several series, keep the draws they have.
    """
    result = fit_behind(predictor)
    if result is None or len(result.problem.groups) > 1 or result.tangent is not None:
        return predictor
    problem = result.problem
    residual, slopes = problem.jacobian(result.x[None])
    n, p = residual.size, result.x.size
    information = slopes[0] @ slopes[0].T
    if n <= p or not np.isfinite(information).all() or np.linalg.matrix_rank(information) < p:
        return predictor
    cov = np.linalg.inv(information) * float(residual[0] @ residual[0]) / (n - p)
    rng = np.random.default_rng(result.seed)
    draws = rng.multivariate_normal(result.x, cov, size=N_DRAWS, method="eigh")
    informed = replace(result, resamples=np.clip(draws, *problem.bounds(result.bounds or {})))
    return informed.at(**predictor.held_inputs) if predictor.held_inputs else informed


def _answer(surface: Surface, target: str, ahead: float) -> tuple[Array, str]:
    """The answer under each draw, and its name."""
    if one_of(target, ("loss", "N")):
        best = allocation.on_budget(surface, ahead)
        if target == "N":
            return _winsorized(np.log(best.N[1:])), f"ln N* at {ahead:.3g} FLOP"
        k = surface.n_rows
        at = surface.loss(np.full((k, 1), best.N[0]), np.full((k, 1), best.D[0]))[1:, 0]
        return _winsorized(np.log(at)), f"ln loss at the plan for {ahead:.3g} FLOP"
    params = surface.params or {}
    if not isinstance(target, str) or target not in params:
        raise ArgumentError(
            f"{arg('target', target)} is not an answer of this law",
            "no run was chosen",
            known(target, ("loss", "N", *params)),
        )
    assert surface.law is not None
    if surface.law.parameters[target].log:
        return _winsorized(np.log(np.maximum(params[target][1:], 1e-300))), f"ln {target}"
    return _winsorized(params[target][1:]), target


def _winsorized(values: Array) -> Array:
    """Draws (k, ...) winsorized at 4 robust standard deviations, so that a few outliers do not set the variance."""
    middle = np.nanmedian(values, axis=0)
    width = 4 * MAD_TO_SD * np.nanmedian(np.abs(values - middle), axis=0)
    return np.asarray(np.clip(np.where(np.isnan(values), middle, values), middle - width, middle + width))


def _seen(predictor: Predictor, kind: str) -> dict[str, Array]:
    seen = predictor.runs()
    if not set(SIZES) <= set(seen):
        raise ArgumentError(
            f"A {kind} does not hold the runs it was fitted to",
            "no run was added to them",
            "Pass what sf.fit or sf.forecast returned",
        )
    return seen


def _candidates(seen: dict[str, Array], total: float) -> tuple[Array, Array]:
    """Sizes and tokens of every run that could be proposed.

    Not cheaper than the cheapest run so far, and within the tokens per parameter so far: outside those nobody knows
    that the law holds.
    """
    compute, ratio = allocation.TRAIN * seen["N"] * seen["D"], seen["D"] / seen["N"]
    low, high = np.clip([ratio.min(), ratio.max()], *_RATIO_RANGE)
    ratios = np.geomspace(low, max(high, low * 1.001), _RATIOS)
    largest = np.sqrt(total / (allocation.TRAIN * ratios[0]))
    sizes = np.geomspace(seen["N"].min(), max(largest, seen["N"].min() * 1.001), _SIZES)
    N, share = (a.ravel() for a in np.meshgrid(sizes, ratios, indexing="ij"))
    D = share * N
    cost = allocation.TRAIN * N * D
    keep = (cost <= total) & (cost >= compute.min() * 0.999)
    if not keep.any():
        raise ArgumentError(
            f"{arg('budget', shown=f'{total:.3g}')} FLOP is less than the cheapest run so far took "
            f"({compute.min():.3g}), and the law is untested below it",
            "no run was chosen",
            "Raise the budget",
        )
    return N[keep], D[keep]


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """The draws in few coordinates, standard normal before any new run.

    ``slopes`` (m, r) is what each candidate's ln loss does along them, ``answer`` (r,) what the answer does; ``rest``
    is the answer's variance that no candidate moves with.
    """

    slopes: Array
    answer: Array
    rest: float
    noise: Array
    cost: Array

    @classmethod
    def of(cls, answer: Array, logs: Array, noise: Array, cost: Array) -> _Problem:
        k = len(answer)
        g, f = answer - answer.mean(), logs - logs.mean(axis=0)
        left, size, right = np.linalg.svd(f, full_matrices=False)
        r = int(max(1, (size > 1e-4 * size[0]).sum())) if size[0] > 0 else 1
        r = min(r, _COORDINATES)
        along = left[:, :r].T @ g / np.sqrt(k)
        return cls(
            (right[:r].T * size[:r]) / np.sqrt(k), along, max(float(g @ g / k - along @ along), 0.0), noise, cost
        )

    def inverse(self, chosen: list[int]) -> Array:
        """Covariance (r, r) of the coordinates after the chosen runs."""
        J = self.slopes[chosen]
        return np.asarray(np.linalg.inv(np.eye(self.answer.size) + (J.T / self.noise[chosen]) @ J))

    def variance(self, chosen: list[int]) -> float:
        """Variance of the answer after the chosen runs."""
        return float(self.answer @ self.inverse(chosen) @ self.answer) + self.rest

    def removed(self, chosen: list[int]) -> Array:
        """Variance of the answer (m,) that each candidate would remove after the chosen runs."""
        inverse = self.inverse(chosen)
        with_answer = self.slopes @ (inverse @ self.answer)
        own = np.einsum("mi,ij,mj->m", self.slopes, inverse, self.slopes)
        return np.asarray(with_answer**2 / (own + self.noise))


def _greedy(problem: _Problem, total: float, n_runs: int, price: float, share: float) -> list[int]:
    """Runs chosen one after another by variance removed over cost^price, none above a share of the budget."""
    chosen: list[int] = []
    spent, cost = 0.0, problem.cost
    while len(chosen) < n_runs:
        open_ = (cost <= total - spent) & (cost <= share * total)
        open_[chosen] = False  # the law's error at a point does not average out over seeds
        if not open_.any():
            break
        best = int(np.argmax(np.where(open_, problem.removed(chosen) / cost**price, -1.0)))
        spent += float(cost[best])
        chosen.append(best)
    return chosen


def _exchange(problem: _Problem, chosen: list[int], total: float) -> list[int]:
    """Swap single runs for better ones that the budget allows, until none is (Fedorov 1972)."""
    cost = problem.cost
    for _ in range(_SWAPS):
        here, best = problem.variance(chosen), (0.0, -1, -1)
        for at in range(len(chosen)):
            rest = chosen[:at] + chosen[at + 1 :]
            open_ = cost <= total - cost[rest].sum()
            open_[chosen] = False
            left = problem.variance(rest) - np.where(open_, problem.removed(rest), -np.inf)
            swap = int(np.argmin(left))
            best = max(best, (here - float(left[swap]), at, swap))
        if best[0] <= 1e-4 * here:
            break
        chosen = chosen[: best[1]] + [best[2]] + chosen[best[1] + 1 :]
    return chosen


def _in_order(problem: _Problem, chosen: list[int]) -> tuple[list[int], list[float]]:
    """The runs by what they remove for their cost given those before, and the answer's variance after each."""
    order: list[int] = []
    left: list[float] = []
    while len(order) < len(chosen):
        gain = problem.removed(order) / problem.cost
        order.append(max((i for i in chosen if i not in order), key=lambda i: gain[i]))
        left.append(problem.variance(order))
    return order, left


def _noise(predictor: Predictor) -> float:
    """Robust standard deviation of the residuals of the log loss, corrected for the parameters."""
    result = fit_behind(predictor)
    if result is None:
        return _NOISE
    residual, free = np.asarray(relative_residuals(result)), len(result.names)
    size = robust_sd(residual) * float(np.sqrt(residual.size / max(residual.size - free, 1)))
    return max(size, 1e-5)

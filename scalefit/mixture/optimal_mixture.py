"""sf.optimal_mixture: the shares of training domains with the lowest weighted loss, and their uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from scalefit._arguments import LEVEL, check_count, check_level, check_number, one_of
from scalefit._calls import explained
from scalefit._typing import Array
from scalefit.errors import ArgumentError, arg, by_severity
from scalefit.fitting.collection import failure_notes, joint_draws
from scalefit.fitting.mixtures import shares_of
from scalefit.fitting.result import FitResult
from scalefit.mixture.arguments import (
    bounds_of,
    domains_of,
    held_inputs,
    mixture_of,
    named_fits,
    tried_ranges,
    weights_of,
)
from scalefit.mixture.notes import INSIDE, notes_of
from scalefit.mixture.result import Comparison, OptimalMixture
from scalefit.mixture.simplex import (
    beyond_tried,
    interior,
    minimise,
    random_interior,
    snapped,
    usual_distance,
)
from scalefit.mixture.weighted import Level, Tried, WeightedLoss

#: Starts for the optimum, where a weight is negative or a law is not convex.
_STARTS = 12
#: Scale of losses that the barrier is measured by [nat/token].
_SCALE = 0.1


@explained
def optimal_mixture(
    fits: Any,
    weights: Mapping[str, float] | None = None,
    bounds: Mapping[str, Any] | Literal["tried"] | None = None,
    *,
    baseline: Any = None,
    at: Mapping[str, float] | None = None,
    within: float = 0.01,
    level: float = LEVEL,
    n_draws: int = 200,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> OptimalMixture:
    """Find the mixture of training domains with the lowest weighted loss.

    Parameters
    ----------
    fits : Fits, FitResult, or mapping of names to FitResult
        Laws of the shares of one set of domains: what ``sf.fit(runs, "data_mixing", loss=[...])`` returned.
    weights : mapping of str to float, optional
        Weight of each loss, by its name; losses that are left out weigh 0. By default all weigh the same and the
        weights sum to 1.
    bounds : mapping, optional
        Lower and upper bound of the share of a domain, ``{"web": (0, 0.8)}``; None for no bound, and one number fixes
        the share. The other shares lie between 0 and 1. ``"tried"`` keeps every share within the range of the runs.
    baseline : mapping or sequence, optional
        A mixture to compare with, such as shares in proportion to the tokens available in each domain; by default the
        mean of the mixtures in the runs.
    at : mapping, optional
        Values of the laws' other inputs, ``{"N": 1e9}``.
    within : float
        How much more loss counts as nearly as good [nat/token].
    level : float
        Level of the intervals.
    n_draws : int
        Resamples of the runs; the laws are refitted to each for the intervals.
    seed : int
        Seed of the draws.
    progress : callable, optional
        Called with (done, total) refits after those of each loss; with many losses they take most of the time.

    Returns
    -------
    OptimalMixture
        ``table`` (a share with its interval per domain), ``loss``, ``lower``, ``upper``, ``losses``, ``gains``,
        ``notes``, ``trusted``.

    Raises
    ------
    ArgumentError
        The fits have different domains, or weights, bounds or the baseline are not allowed.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> rng = np.random.default_rng(0)
    >>> web = rng.uniform(0, 1, 24)
    >>> runs = {"share_web": web, "share_code": 1 - web}
    >>> runs |= {"loss_web": 2 + np.exp(-2 * web), "loss_code": 1 + np.exp(1.5 * web) / 10}
    >>> fits = sf.fit(runs, "data_mixing", loss=["loss_web", "loss_code"])
    >>> best = sf.optimal_mixture(fits)
    >>> best.table["share"].round(3).to_dict(), round(best.loss, 3)
    ({'web': 0.74, 'code': 0.26}, 1.766)
    >>> sf.optimal_mixture(fits, weights={"loss_code": 1.0}, bounds={"web": (0.2, 1)}).table["share"].to_dict()
    {'code': 0.8, 'web': 0.2}
    """
    named = named_fits(fits)
    names = list(named)
    domains = domains_of(named)
    lower, upper = bounds_of(tried_ranges(named) if one_of(bounds, ("tried",)) else bounds, domains)
    task = _Task(
        named,
        domains,
        weights_of(weights, names),
        lower,
        upper,
        [held_inputs(named[name], at) for name in names],
        check_level(level),
    )
    within = check_number("within", within)
    if not (np.isfinite(within) and within > 0):
        raise ArgumentError(f"{arg('within', within)} is not positive", "nothing was computed", "Give 0.01, for one")
    n_draws, seed = check_count("n_draws", n_draws, least=20), check_count("seed", seed, least=0)
    law = task.weighted([dict(result.params) for result in named.values()])
    rng = np.random.default_rng(seed)
    best = task.best(law, random_interior(lower, upper, _STARTS, rng) if (upper > lower).any() else lower[None])
    refitted = joint_draws(named, n_draws, seed, progress)
    drawn = task.drawn({name: x for name, (x, _) in refitted.items()})
    tried, measured, labels = task.tried()
    if baseline is None:
        reference, text = tried.mean(axis=0), "the mean of the mixtures tried"
    else:
        reference, text = mixture_of(baseline, next(iter(named.values())).law, domains), "the baseline"
    found = _answer(task, law, best, drawn, (tried, measured, labels), (reference, text), within)
    return found.with_notes(tuple(sorted((*found.notes, *failure_notes(refitted)), key=by_severity)))


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """What was asked: laws, weights, bounds."""

    fits: dict[str, FitResult]
    domains: tuple[str, ...]
    weights: Array
    lower: Array
    upper: Array
    held: list[dict[str, float]]
    level: float

    def weighted(self, params: Sequence[Mapping[str, Any]]) -> WeightedLoss:
        """The weighted loss at these parameters."""
        laws = [result.law for result in self.fits.values()]
        return WeightedLoss(laws, params, self.weights, self.domains, self.held)

    def best(self, law: WeightedLoss, starts: Array) -> Array:
        """The best mixture (n,) from several starts (k, n)."""
        ends = minimise(law.value, law.derivatives, starts, self.lower, self.upper, _SCALE)
        return np.asarray(snapped(ends, self.lower, self.upper)[int(np.argmin(law.value(ends)))])

    def drawn(self, refitted: Mapping[str, Array]) -> tuple[WeightedLoss, Array] | None:
        """Weighted losses at draws (n, p) of the parameters, and the best mixture (n, k) of each."""
        params, n = [], len(next(iter(refitted.values())))
        for name, x in refitted.items():
            natural = self.fits[name].natural(x)
            params.append({key: np.broadcast_to(value, (n,)) for key, value in natural.items()})
        law = self.weighted(params)
        start = np.repeat(interior(self.lower, self.upper)[None], n, axis=0)
        with np.errstate(all="ignore"):
            ends = minimise(law.value, law.derivatives, start, self.lower, self.upper, _SCALE)
            good = np.isfinite(law.value(ends))
        if not good.all():
            return None
        return law, snapped(ends, self.lower, self.upper)

    def tried(self) -> tuple[Array, Array, list[Any]]:
        """Mixtures (m, n) of the runs that have every loss of weight, their measured losses (k, m), their labels."""
        used = [name for name, weight in zip(self.fits, self.weights, strict=True) if weight != 0]
        common = [set(self.fits[name].row_labels.tolist()) for name in used]
        labels = [label for label in self.fits[used[0]].row_labels.tolist() if all(label in part for part in common)]
        if not labels:
            raise ArgumentError(
                f"No run has all of {', '.join(used)}, so no weighted loss was measured",
                "nothing was computed",
                ("give runs that have every loss", "give the losses that no run shares a weight of 0"),
            )
        shares, measured = np.zeros((len(labels), len(self.domains))), np.zeros((len(self.fits), len(labels)))
        for k, (name, result) in enumerate(self.fits.items()):
            if name not in used:
                continue
            rows = {label: i for i, label in enumerate(result.row_labels.tolist())}
            picked = [rows[label] for label in labels]
            order = [result.law.domains().index(domain) for domain in self.domains]
            shares = shares_of(result.law, result.problem.raw_columns)[picked][:, order]
            measured[k] = result.problem.loss[picked]
        return shares, measured, labels


@dataclass(frozen=True, slots=True, eq=False)
class _Spread:
    """Intervals (2, ...) of a mixture: its shares, the law's loss, that of a run, of each loss, gaps to others."""

    shares: Array
    law: Array
    run: Array
    each: Array
    gaps: Array
    #: What the lowest point of a fitted law promises too much [nat/token].
    optimism: float


def _spread(
    task: _Task,
    law: WeightedLoss,
    best: Array,
    drawn: tuple[WeightedLoss, Array] | None,
    residual: Array,
    freedom: int,
    others: list[Array],
) -> _Spread:
    """Intervals from the draws; NaN without any."""
    if drawn is None:
        none, n_losses = np.full((2, 1), np.nan), len(task.fits)
        wide = [np.repeat(none, n, axis=1) for n in (best.size, n_losses, len(others))]
        return _Spread(wide[0], none[:, 0], none[:, 0], wide[1], wide[2], 0.0)
    tail = [(1 - task.level) / 2, (1 + task.level) / 2]
    draws, mixtures = drawn
    n = len(mixtures)
    here = draws.each(np.repeat(best[None], n, axis=0))
    at_best, own = task.weights @ here, draws.value(mixtures)
    # A law is at its luckiest where it is lowest: what draws promise at their own optima, over what the law gives.
    loss = float(task.weights @ law.each(best[None])[:, 0])
    optimism = float(np.median(np.maximum(law.value(mixtures) - loss, 0.0) + np.maximum(at_best - own, 0.0)))
    noise = _noise(residual, freedom, n)
    gaps = [
        np.quantile(draws.value(np.repeat(mixture[None], n, axis=0)) - at_best, tail) - np.array([optimism, 0.0])
        for mixture in others
    ]
    return _Spread(
        shares=np.asarray(np.quantile(mixtures, tail, axis=0)),
        law=np.quantile(at_best, tail) + np.array([0.0, optimism]),
        run=np.quantile(at_best + 0.5 * optimism + task.weights @ noise, tail),
        each=np.asarray(np.quantile(here + noise, tail, axis=1)),
        gaps=np.stack(gaps, axis=1),
        optimism=optimism,
    )


def _answer(
    task: _Task,
    law: WeightedLoss,
    best: Array,
    drawn: tuple[WeightedLoss, Array] | None,
    runs: tuple[Array, Array, list[Any]],
    reference: tuple[Array, str],
    within: float,
) -> OptimalMixture:
    """Intervals, comparisons and notes for a mixture."""
    tried, measured, labels = runs
    picked = int(np.argmin(task.weights @ measured))
    each = law.each(best[None])[:, 0]
    loss = float(task.weights @ each)
    residual = measured - law.each(tried)  # (k, m)
    residual[task.weights == 0] = 0.0
    used = [result for result, weight in zip(task.fits.values(), task.weights, strict=True) if weight != 0]
    spare = [max(result.n_runs - result.n_free, 1) / result.n_runs for result in used]
    wider = float(1 / np.sqrt(min(spare)))
    scatter = wider * (task.weights @ residual)
    others = [("best tried", tried[picked]), (reference[1], reference[0])]
    freedom = min(result.n_runs - result.n_free for result in used)
    spread = _spread(task, law, best, drawn, wider * residual, freedom, [mixture for _, mixture in others])
    flat = _flat(task, law, best, loss + within)
    blend, beyond, usual = _blend(task, law, best, tried)
    comparisons = [
        Comparison(
            name, mixture, float(law.value(mixture[None])[0]), float(spread.gaps[0, i]), float(spread.gaps[1, i])
        )
        for i, (name, mixture) in enumerate(others)
    ]
    lucky = float(law.value(tried[picked][None])[0] - task.weights @ measured[:, picked])
    found = OptimalMixture(
        domains=task.domains,
        shares=best,
        interval=spread.shares,
        flat=flat,
        tried=np.stack([tried.min(axis=0), tried.max(axis=0)]),
        bounds=np.stack([task.lower, task.upper]),
        loss=loss + spread.optimism,
        law_interval=(float(spread.law[0]), float(spread.law[1])),
        run_interval=(float(spread.run[0]), float(spread.run[1])),
        names=tuple(task.fits),
        weights=task.weights,
        each=each,
        each_interval=spread.each,
        comparisons=tuple(comparisons),
        best_tried=labels[picked],
        luck=lucky,
        optimism=spread.optimism,
        within=within,
        beyond=beyond,
        usual=usual,
        blend=blend,
        blend_loss=float(law.value(blend[None])[0]),
        scatter=float(np.sqrt(np.mean(scatter**2))),
        n_tried=len(tried),
        law=used[0].law.name.split(":")[0],
        units=tuple(dict.fromkeys(str((one.conventions or {}).get("loss_unit", "nat/token")) for one in used)),
        level=task.level,
        fits_trusted=all(result.trusted for result in used),
        open_parameters=tuple(dict.fromkeys(name for result in used for name in result.undetermined)),
    )
    return found.with_notes(notes_of(found))


def _noise(residual: Array, left: int, n: int) -> Array:
    """Draws (k, n) of how far a run's losses are from the laws: as residuals (k, m) vary together, by Student's t."""
    rng = np.random.default_rng(residual.shape[1])
    m = residual.shape[1]
    together = rng.standard_normal((n, m)) / np.sqrt(m)
    left = max(left, 1)
    heavier = np.sqrt(left / rng.chisquare(left, n))
    return np.asarray(residual @ together.T * heavier)


def _flat(task: _Task, law: WeightedLoss, best: Array, ceiling: float) -> Array:
    """Lowest and highest share (2, n) of each domain among mixtures that stay below a loss."""
    n = best.size
    centre = interior(task.lower, task.upper)
    start = best
    for _ in range(60):  # inside the bounds, and still below the ceiling
        start = 0.5 * (start + best) if start is not best else 0.5 * (centre + best)
        if law.value(start[None])[0] < ceiling - 0.05 * (ceiling - law.value(best[None])[0]):
            break
    else:
        return np.stack([best, best])
    signs = np.repeat([1.0, -1.0], n)
    goal = np.zeros((2 * n, n))
    goal[np.arange(2 * n), np.tile(np.arange(n), 2)] = signs
    edge = Level(law, ceiling, goal)
    ends = minimise(edge.value, edge.derivatives, np.repeat(start[None], 2 * n, axis=0), task.lower, task.upper, 1.0)
    ends = snapped(ends, task.lower, task.upper)
    own = ends[np.arange(2 * n), np.tile(np.arange(n), 2)]
    return np.stack([np.minimum(own[:n], best), np.maximum(own[n:], best)])


def _blend(task: _Task, law: WeightedLoss, best: Array, tried: Array) -> tuple[Array, float, float]:
    """Best blend of tried mixtures (n,), how far the best is from any, and how far tried ones are from others."""
    beyond = beyond_tried(best, tried)
    if beyond <= INSIDE:
        return best, beyond, float("nan")
    usual = usual_distance(tried)
    inside = Tried(law, tried)
    m = len(tried)
    start = np.full((1, m), 1.0 / m)
    ends = minimise(inside.value, inside.derivatives, start, np.zeros(m), np.ones(m), _SCALE)
    return np.asarray(ends[0] @ tried), beyond, float(np.quantile(usual, 0.9))

"""From a problem to its optimum and certificate: subsets of large tables, narrowing bands, every start at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from scalefit._typing import AnyArray, Array
from scalefit.errors import FitError
from scalefit.fitting.arrow import arrow_of
from scalefit.fitting.certificate import Certificate, agreeing, certify, enough
from scalefit.fitting.newton import AGREE, Minimum, may_beat, minimise
from scalefit.fitting.power_sum import model_of
from scalefit.fitting.problem import DEAD, Problem
from scalefit.fitting.starts import find_starts, more_starts, own_starts, subset
from scalefit.fitting.traced import can_trace
from scalefit.fitting.valleys import RISES, steps_aside

#: Runs above which a fit starts on a subset, and the sizes of the two subsets (guesses; docs/architecture.md).
LARGE = 10_000
_SUBSET = 2_048
_SECOND_SUBSET = 20_000
#: More starts than these race on as many fewer rows, though not on fewer than the least; then a few run on.
_USUAL_STARTS, _LEAST_SUBSET, _FINALISTS = 3, 384, 3
#: Of ends on a subset: how far above the lowest one is polished on all rows too, from where on two are looked at apart,
#: and up to where an end is taken for the nearest of these.
_CLOSE, _APART, _ONE_END = 0.01, 1e-8, 1e-6
#: Residual below which a search need not go on, and below which a table is taken to be free of noise.
EXACT, ROUNDING = 1e-12, 1e-9
#: A summand that is nowhere more than this share of the loss is also tried at nothing.
_FAINT = 0.05
#: Runs on which a solution's slopes are looked at.
_LOOK = 4_096
#: Steps for which second derivatives are kept on a large table, and steps in a band that only leads to the next.
_KEPT_FOR, _ON_THE_WAY = 8, 30
#: Steps that tell whether a search without a faint summand is worth it.
_TRIAL = 40
#: Relative gain of a round below which a valley is not followed further.
_STANDSTILL = 1e-9
#: Relative gain of the last round below which a valley that goes on for ever counts as followed to its end.
_NO_GAIN = 1e-6
#: More starts where hardly any reached the best end, how often, after how many steps those that will not reach it are
#: left, and how far above it one is followed along its valley.
_MORE, _TURNS, _GIVEN_UP_AFTER, _NEAR = 8, 6, 40, 1.2
#: Directions along which other minima are looked for beside the best, and steps after which such a search must promise
#: to end as low.
_VALLEYS, _RACE = 2, 20
#: Along a narrow valley: steps walked, multiples of that move tried, steps to fall back to the floor, rounds.
_WALK, _LEAPS, _FALL, _ROUNDS = 10, np.array([0.0, 30.0, 100.0, 300.0, 1000.0]), 30, 30

#: Searches at one objective that settle a sum of powers: on 794 random tables the first to end was at the lowest.
_SETTLED = 3
#: Steps that take the best end to the last digits, a relative move that ends them, and the smallest eigenvalue at unit
#: diagonal of a Hessian that gives them.
_POLISH, _LAST_DIGITS, _DEFINITE = 6, 1e-14, 1e-10


def solve(
    problem: Problem, bounds: Mapping[str, tuple[float, float]], names: tuple[str, ...], n_starts: int
) -> tuple[Array, Certificate]:
    """Best free vector (p,) and its certificate."""
    lower, upper = problem.bounds(bounds)
    own = own_starts(problem)
    starts = find_starts(problem, max(1, n_starts), bounds, own)
    ends = _go_on(problem, _search(problem, starts, lower, upper), lower, upper)
    ends = _reached_again(problem, starts, ends, lower, upper, own)
    ends = _beside(problem, ends, lower, upper)
    if not np.isfinite(ends.value.min()):
        raise FitError(
            f"{problem.law.name} has no finite objective anywhere near these runs",
            "nothing was fitted",
            "Check their units",
        )
    sensitivity = _sensitivity(problem, ends.best)
    for at in _faint(problem, ends.best, sensitivity, lower):
        pinned = upper.copy()
        pinned[at] = lower[at]
        if not _worth_a_search(problem, ends.best, lower, pinned):
            continue
        without = _search(problem, np.minimum(ends.x, pinned), lower, pinned)
        without = _go_on(problem, without, lower, pinned, float(ends.value.min()))
        if without.value.min() <= ends.value.min() * (1 + 1e-9):
            ends, upper = without, pinned
            sensitivity = _sensitivity(problem, ends.best)
    ends, hessian, information = _polish(problem, ends, lower, upper)
    x = ends.best
    held = (x <= lower) | (x >= upper)
    # A coefficient at nothing says so by being at its bound; what it multiplied is what no run depends on.
    coefficients = [problem.index[:, j] for j, p in enumerate(problem.law.parameters.values()) if p.linear]
    for places in coefficients:
        free = places[places >= 0]
        sensitivity[free] = np.where(held[free], np.inf, sensitivity[free])
    exact = problem.cost_of(ROUNDING)
    return x, certify(
        ends, hessian, information, names, held, exact, sensitivity, _residuals(problem, ends), problem.value
    )


def _residuals(problem: Problem, ends: Minimum) -> Array | None:
    """Residuals (starts, n) of every end, unless they are too many to look at."""
    with np.errstate(all="ignore"):  # an end that was given up may lie where the law is no number
        return problem.residuals(ends.x) if problem.loss.size <= LARGE else None


def _search(problem: Problem, starts: Array, lower: Array, upper: Array, known: float = np.inf) -> Minimum:
    """Ends of all starts; on a large table of a subset of its runs, the best few then polished on all of them.

    Starts that soon turn out not to lead to a `known` objective, or below, are given up.
    """
    if problem.loss.size <= LARGE:
        bar = np.full(len(starts), known * (1 + AGREE)) if np.isfinite(known) else None
        return descend(problem, starts, lower, upper, bar=bar, bar_steps=_GIVEN_UP_AFTER)
    # Many starts race on fewer rows: which basin is the lowest shows on hundreds, and the best few run on.
    rows = max(_LEAST_SUBSET, _SUBSET * _USUAL_STARTS // len(starts)) if len(starts) > _USUAL_STARTS else _SUBSET
    coarse = descend(subset(problem, rows), starts, lower, upper)
    kept = _near_each_other(coarse.value, np.inf if rows < _SUBSET else _CLOSE)
    points, leads = coarse.x[kept], np.arange(len(kept))
    sizes = [_SUBSET] * (rows < _SUBSET) + [_SECOND_SUBSET] * (problem.loss.size > 2 * _SECOND_SUBSET)
    for size in sizes:
        few = subset(problem, size)
        found = descend(few, points, lower, upper)
        if size == sizes[-1]:  # the end of a valley is sought where it is cheap
            found = _go_on(few, found, lower, upper)
        on = _near_each_other(found.value, _CLOSE)
        which = _alike(found.value, found.value[on])
        points, leads = found.x[on], np.where(leads >= 0, which[leads], -1)
    bar = np.array([known * (1 + AGREE)]) if np.isfinite(known) else None
    each = [descend(problem, x[None], lower, upper, bar=bar, bar_steps=_GIVEN_UP_AFTER) for x in points]
    ends = Minimum(*(np.concatenate([getattr(one, name) for one in each]) for name in Minimum.__slots__))
    # Every start that shares an end is one point on the full table; the others stay where the subset left them.
    group = _alike(coarse.value, coarse.value[kept])
    at = np.where(group >= 0, leads[group], -1)
    same = at >= 0
    return Minimum(
        np.where(same[:, None], ends.x[at], coarse.x),
        np.where(same, ends.value[at], ends.value.min() * coarse.value / max(coarse.value.min(), 1e-300)),
        np.where(same, ends.decrement[at], coarse.decrement),
        np.where(same, ends.converged[at], coarse.converged),
        coarse.steps,
    )


def _near_each_other(values: Array, within: float) -> list[int]:
    """Positions of the lowest few different objectives, as far above the lowest as a share `within` of it.

    Basins that lie near each other on some rows may change places on all of them.
    """
    kept: list[int] = []
    for at in np.argsort(values, kind="stable"):
        if len(kept) < _FINALISTS and (not kept or values[at] <= values[kept[0]] * (1 + within)):
            if not kept or values[at] > values[kept[-1]] * (1 + _APART):
                kept.append(int(at))
    return kept


def _alike(values: Array, ends: Array) -> AnyArray:
    """Which of some ends each objective is that of (m,), -1 where it is none."""
    away = np.abs(values[:, None] - ends)
    return np.where(away.min(axis=1) <= _ONE_END * ends[away.argmin(axis=1)], away.argmin(axis=1), -1)


def _go_on(problem: Problem, ends: Minimum, lower: Array, upper: Array, known: float = np.inf) -> Minimum:
    """Follow the best end along its valley where it ran out of steps.

    Down a narrow bent valley Newton's steps are short, but all go much the same way: a leap along the last few lands
    on the slope, from where a few steps lead back to the floor, much further down. A valley whose last round, repeated
    to the end, would not lead down to a `known` objective is left.
    """
    best = ends.lowest
    if ends.converged[best]:
        return ends
    one, gain = _row(ends, best), 0.0
    for left in range(_ROUNDS, 0, -1):
        walked = descend(problem, one.x, lower, upper, max_steps=_WALK)
        leaps = np.clip(walked.x + _LEAPS[:, None] * (walked.x - one.x), lower, upper)
        tried = descend(problem, leaps, lower, upper, max_steps=_FALL)
        found = _row(tried, tried.lowest)
        if not found.value[0] < one.value[0]:
            break
        gain, one = 1 - found.value[0] / one.value[0], found
        if one.converged[0] or gain <= _STANDSTILL or one.value[0] * (1 - left * gain) > known:
            break
    # A valley without a floor has no end: where neither a leap nor a step gains any more, this is as good as one.
    one = replace(one, converged=one.converged | ((gain <= _NO_GAIN) & (one.decrement <= _STANDSTILL)))
    return _with_row(ends, best, one)


def _reached_again(
    problem: Problem, tried: Array, ends: Minimum, lower: Array, upper: Array, own: Array | None
) -> Minimum:
    """Search from more starts where hardly any reached the best end, until enough do.

    An end that few of many searches reach may well not be the lowest: so many basins were not found by the others. What
    they lead to is kept, whether it is lower or not.
    """
    exact = problem.cost_of(ROUNDING)
    for _ in range(_TURNS if len(tried) > 1 else 0):
        found = agreeing(ends, exact, _residuals(problem, ends))
        if enough(int(found.sum()), found.size):
            break
        fresh = more_starts(problem, tried, _MORE, lower, upper, own)
        tried = np.concatenate([tried, fresh])
        known = float(ends.value[ends.lowest])
        more = _search(problem, fresh, lower, upper, known)
        at = more.lowest
        if problem.loss.size <= LARGE:
            more = _go_on(problem, more, lower, upper) if more.value[at] <= _NEAR * known else more
        elif may_beat(more.value[at], more.decrement[at], known):  # the valley was followed on fewer rows already
            more = _go_on(problem, more, lower, upper, known)
        ends = _joined(ends, more)
    return ends


def _beside(problem: Problem, ends: Minimum, lower: Array, upper: Array) -> Minimum:
    """Search from beside the best end too, along the valleys in which parameters trade off, until none ends lower.

    The penalty's kinks leave several minima along such a valley, and all the starts of a field can fall into one of
    them. Sums of powers have closed forms, and no such tables were found (benchmarks/optimum.py).
    """
    if problem.law.terms or problem.loss.size > LARGE or not ends.value.min() > problem.cost_of(ROUNDING):
        return ends
    for _ in range(_TURNS):
        x, known = ends.best, float(ends.value[ends.lowest])
        at = (problem, x[None], np.array([known]))
        aside = np.concatenate([steps_aside(*at, rise, (lower, upper), valleys=_VALLEYS)[:, 0] for rise in RISES])
        starts = np.clip(x + np.concatenate([aside, -aside]), lower, upper)
        bar = np.full(len(starts), known * (1 + AGREE))
        found = descend(problem, starts, lower, upper, bar=bar, bar_steps=_RACE)
        if not found.value[found.lowest] < known * (1 - AGREE):
            break
        ends = _go_on(problem, _joined(ends, found), lower, upper)
    return ends


def _polish(problem: Problem, ends: Minimum, lower: Array, upper: Array) -> tuple[Minimum, Array, Array]:
    """Take the best end to the last digits: ends, Hessian and least-squares matrix (p, p) there.

    A search ends where its next step gains nothing, and that step can still move the last digits of the parameters,
    which would then depend on the processor. Steps are taken for as long as each leaves a quarter of the last gain.
    """
    at, floor = ends.lowest, problem.cost_of(EXACT)
    x = ends.x[at]
    with np.errstate(all="ignore"):
        model = model_of(problem.bands(x)[-1])
        _, g, h, s = model.evaluate(x[None], None)
        step, gain = _newton_step(x, g[0], h[0], lower, upper)
        for _ in range(_POLISH if ends.converged[at] and ends.value[at] > floor else 0):
            moved = x + step
            if not gain or np.all(np.abs(step) <= _LAST_DIGITS * np.maximum(1.0, np.abs(x))):
                break
            if not ((moved >= lower) & (moved <= upper)).all():
                break
            _, g, h_moved, s_moved = model.evaluate(moved[None], None)
            next_step, next_gain = _newton_step(moved, g[0], h_moved[0], lower, upper)
            if not 0.0 < next_gain <= 0.25 * gain:
                break
            x, h, s, step, gain = moved, h_moved, s_moved, next_step, next_gain
        if x is not ends.x[at]:
            value = problem.value(x[None])
            one = replace(_row(ends, at), x=x[None], value=value, decrement=gain / np.maximum(value, 1e-300))
            ends = _with_row(ends, at, one)
    return ends, h[0], s[0]


def _newton_step(x: Array, g: Array, h: Array, lower: Array, upper: Array) -> tuple[Array, float]:
    """Newton step (p,) of the parameters that are free to move, and what it gains; nothing where h is not definite."""
    free = ~(((x <= lower) & (g > 0)) | ((x >= upper) & (g < 0)) | (lower == upper))
    step = np.zeros_like(x)
    size = np.sqrt(np.abs(np.diag(h)[free]))
    scaled = h[np.ix_(free, free)] / size[:, None] / size
    if not free.any() or not np.isfinite(scaled).all() or np.linalg.eigvalsh(scaled)[0] < _DEFINITE:
        return step, 0.0
    step[free] = -np.linalg.solve(scaled, g[free] / size) / size
    return step, float(-g @ step)


def _with_row(ends: Minimum, at: int, one: Minimum) -> Minimum:
    """Several ends, one of them replaced."""
    pairs = ((getattr(ends, name), getattr(one, name)) for name in Minimum.__slots__)
    return Minimum(*(np.concatenate([old[:at], new, old[at + 1 :]]) for old, new in pairs))


def _joined(ends: Minimum, more: Minimum) -> Minimum:
    """The ends of two fields of starts."""
    pairs = ((getattr(ends, name), getattr(more, name)) for name in Minimum.__slots__)
    return Minimum(*map(np.concatenate, pairs))


def _row(ends: Minimum, at: int) -> Minimum:
    """One of several ends."""
    return Minimum(*(getattr(ends, name)[[at]] for name in Minimum.__slots__))


def _sensitivity(problem: Problem, x: Array) -> Array:
    """Largest change of the log loss over the runs (p,) for a unit change of each free parameter."""
    small = subset(problem, _LOOK) if problem.loss.size > _LOOK else problem
    with np.errstate(all="ignore"):
        slopes = np.abs(small.jacobian(x[None])[1][0])
    if problem.objective.on == "loss":
        size = np.abs(small.loss)  # targets other than losses may be zero or negative
        slopes = slopes / np.maximum(size, 1e-3 * np.median(size) + 1e-300)
    return np.asarray(slopes.max(axis=1))


def _faint(problem: Problem, x: Array, sensitivity: Array, lower: Array) -> list[int]:
    """Positions of coefficients whose summand is nowhere more than a small share of the loss at x, faintest first.

    In logarithms a summand of zero is infinitely far away: descent towards it slows down and stops short.
    """
    found = []
    for j, parameter in enumerate(problem.law.parameters.values()):
        for at in set(problem.index[:, j].tolist()) - {-1}:
            coefficient = parameter.linear and parameter.log and lower[at] <= np.log(DEAD)
            if coefficient and lower[at] < x[at] and sensitivity[at] <= _FAINT:
                found.append(at)
    return sorted(found, key=lambda at: float(sensitivity[at]))


def _worth_a_search(problem: Problem, x: Array, lower: Array, pinned: Array) -> bool:
    """Whether a few steps within bounds that pin a summand at nothing lead as low as x (p,)."""
    small = subset(problem, _SUBSET) if problem.loss.size > LARGE else problem
    trial = descend(small, np.minimum(x, pinned)[None], lower, pinned, max_steps=_TRIAL)
    return bool(trial.value[0] <= small.value(x[None])[0] * (1 + 1e-9))


def descend(
    problem: Problem,
    starts: Array,
    lower: Array,
    upper: Array,
    *,
    weights: Array | None = None,
    max_steps: int = 150,
    bar: Array | None = None,
    bar_steps: int = 40,
    progress: Callable[[int, int], None] | None = None,
) -> Minimum:
    """Minimise from every start, through a sequence of bands where the objective's own is too narrow to follow.

    The starts are of one objective, unless each has its own `weights` (b, n) of the runs; `bar` (b,) are values that
    are known already, for searches that need not go on above them.
    """
    bands = problem.bands(starts[0])
    # Second derivatives by differences cost as much as all the rest: on a large table they are kept.
    differences = not problem.law.terms and not can_trace(problem.law)
    keep = problem.loss.size > LARGE and len(starts) == 1 and weights is None and differences
    steps = _KEPT_FOR if keep else max_steps
    points, ends = starts, None
    for band in bands:
        last = band is bands[-1]
        for _ in range(-(-max_steps // steps) if last else 1):
            model = model_of(replace(band, second_order=band.curvature(points[0])) if keep else band)
            ends = minimise(
                model,
                points,
                lower,
                upper,
                weights=weights,
                floor=band.cost_of(EXACT),
                max_steps=steps if last else min(steps, _ON_THE_WAY),
                rivals=weights is None and len(bands) == 1,
                settled=_SETTLED if problem.law.terms else None,
                bar=bar if len(bands) == 1 else None,
                bar_steps=bar_steps,
                arrow=arrow_of(problem.index) if problem.penalty is None else None,
                progress=progress,
            )
            points = ends.x
            if ends.converged.all():
                break
    assert ends is not None
    return ends if bands[-1] is problem else replace(ends, value=problem.value(ends.x, weights))

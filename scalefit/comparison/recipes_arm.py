"""One recipe against the baseline: what is read off the joint fit, and where reading must stop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalefit._text import several, shortlist
from scalefit._typing import AnyArray, Array
from scalefit.comparison.recipes_fit import JointFit, Mixture
from scalefit.comparison.recipes_surfaces import ComputeSurface, Path
from scalefit.errors import ArgumentError, Note, arg
from scalefit.extrapolation import AHEAD

#: Factor below the cheapest run at which a multiplier is still read (a guess).
_BELOW = 10.0
_MOST = 10.0  # times the baseline's most expensive run (or the compute asked for): its law is not read further
#: Weights of two error structures, and number of sizes, at which a note speaks of them (guesses).
_MUCH_WIDE, _MUCH_SIZE, _FEW_GROUPS = 0.3, 0.5, 8
#: Distance in logarithms within which two runs are at one N and D: rounding.
_SAME_CELL = 1e-6
_ROUNDING = 1e-9  # losses that differ by less of them are equal
#: Difference of the mean ln(D/N) of two recipes from which a law of compute alone takes both for one (a guess).
SAME_RATIO = 0.1
_SEEN = 1.05  # the gain that `runs_needed` speaks of
#: Fewest runs that it says; how much laws that may differ widen the error at the centre (from simulations); and the
#: standard errors at which a gain is seen at the 5 % level with probability 0.8, from many runs.
_LEAST_RUNS, _WIDER, _MANY = 4, 1.15, 2.48


def _distance(dof: float) -> float:
    """Standard errors at which a gain is seen at the 5 % level with probability 0.8."""
    from scipy.special import stdtrit

    return float(stdtrit(max(dof, 1.0), [0.95, 0.8]).sum())


@dataclass(frozen=True, slots=True, eq=False)
class RunsOf:
    """Checked runs of one recipe: N [parameters], D [tokens], C [FLOP], loss, each of shape (n,), NaN if unknown."""

    label: Any
    N: Array
    D: Array
    C: Array
    loss: Array
    rows: AnyArray
    unit: str
    params: str
    repeats: float

    def only(self, kept: AnyArray) -> RunsOf:
        """The runs that are kept."""
        return replace(self, N=self.N[kept], D=self.D[kept], C=self.C[kept], loss=self.loss[kept], rows=self.rows[kept])


def same_cells(first: RunsOf, second: RunsOf) -> AnyArray:
    """Return which pairs of runs are at the same N and D, or at the same C where those are not known."""

    def near(name: str) -> AnyArray:
        one, other = np.log(getattr(first, name)), np.log(getattr(second, name))
        return np.asarray(np.abs(one[:, None] - other) < _SAME_CELL)

    known = np.isfinite(first.N).all() and np.isfinite(second.N).all()
    return near("N") & near("D") if known else near("C")


@dataclass(frozen=True, slots=True)
class Reading:
    """A multiplier at one compute; NaN and an open end where the data do not determine it."""

    C: float
    multiplier: float
    lower: float
    upper: float
    p_better: float
    why: str = ""

    def words(self) -> str:
        """The number with its interval."""
        if np.isnan(self.multiplier):
            if np.isfinite(self.upper):
                return f"at most {self.upper:.3g}"
            return f"at least {self.lower:.3g}"
        return f"{self.multiplier:.3g} [{self.lower:.3g}, {self.upper:.3g}]"


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """The runs of the baseline `a` and of one recipe `b`, with their joint fit."""

    a: RunsOf
    b: RunsOf
    fit: JointFit
    path: Path
    earlier: tuple[Note, ...]
    set_aside: tuple[tuple[Any, Any], ...]
    groups: int

    @property
    def C_max(self) -> float:
        """The smaller of the two recipes' most expensive runs [FLOP]."""
        return float(min(self.a.C.max(), self.b.C.max()))

    @property
    def C_centre(self) -> float:
        """Geometric mean of the compute of all runs [FLOP]."""
        return float(np.exp(np.log(np.r_[self.a.C, self.b.C]).mean()))

    @property
    def apart(self) -> str:
        """Say "below" where every run of B is below every run of A, "above" where above; else empty."""
        if self.b.loss.max() < self.a.loss.min():
            return "below"
        return "above" if self.b.loss.min() > self.a.loss.max() else ""

    @property
    def ratios_confounded(self) -> tuple[float, float] | None:
        """Tokens per parameter of A and of B, where a law of compute alone cannot tell them from the recipe."""
        if not isinstance(self.fit.surface, ComputeSurface):
            return None
        a, b = (float(np.log(side.D / side.N).mean()) for side in (self.a, self.b))
        return (float(np.exp(a)), float(np.exp(b))) if abs(a - b) > SAME_RATIO else None

    def check(self, C: float, *, extrapolate: bool) -> None:
        """Refuse a compute that is too far from the runs."""
        cheapest = float(min(self.a.C.min(), self.b.C.min()))
        if extrapolate:
            return
        if C > AHEAD * self.C_max * (1 + 1e-9):
            raise ArgumentError(
                f"C = {C:.3g} is {C / self.C_max:.3g} times the most expensive run of both ({self.C_max:.3g})",
                "nothing was read, as a trend over these runs is not one over so many decades",
                f"Ask up to {AHEAD:g} times, or pass {arg('extrapolate', True)}",
            )
        if C < cheapest / _BELOW * (1 - 1e-9):
            raise ArgumentError(
                f"C = {C:.3g} is less than a tenth of the cheapest run ({cheapest:.3g})",
                "nothing was read",
                f"Ask for less compute, or pass {arg('extrapolate', True)}",
            )

    def beyond(self, C: float) -> bool:
        """Whether a compute is beyond the runs that both recipes have."""
        return C > self.C_max * (1 + 1e-9)

    def vouched(self, C: float) -> float:
        """From 1 up to the centre of the runs to 0 from the most expensive common run on, in the log of compute."""
        if C >= self.C_max * (1 - 1e-9):
            return 0.0
        span = np.log(self.C_max / self.C_centre)
        return float(np.clip(np.log(self.C_max / C) / span, 0.0, 1.0)) if span > 0 else 1.0

    def mixture(self, C: float, path: Path | None = None) -> Mixture:
        """Log multiplier at one compute."""
        return self.fit.multiplier(C, path or self.path, self.vouched(C))

    def read(self, C: float, level: float, path: Path | None = None) -> Reading:
        """The multiplier at one compute, or the end of it that the runs do determine."""
        if self.apart:
            return self._bound(C)
        found = self.mixture(C, path)
        middle, lower, upper = (float(np.exp(np.clip(v, -700, 700))) for v in found.interval(level))
        p_better = 1 - found.below(0.0)
        limit = _MOST * max(float(self.a.C.max()), C)
        if middle * C > limit:
            why = f"{self.a.label} would need over {_MOST:g} times its most expensive run, where its law is not known"
            return Reading(C, np.nan, min(lower, limit / C), np.inf, p_better, why)
        return Reading(C, middle, lower, upper, p_better)

    @property
    def C_read(self) -> float:
        """The compute that is read first: the largest that both have, or where runs that lie apart say most [FLOP]."""
        return {"": self.C_max, "below": float(self.b.C.min()), "above": float(self.b.C.max())}[self.apart]

    def _bound(self, C: float) -> Reading:
        """What losses that do not overlap say at one compute, if loss falls with compute and each is near its best."""
        why = f"every run of {self.b.label} is {self.apart} every run of {self.a.label}"
        if self.apart == "below":
            least = float(self.a.C.max() / C) if C >= self.b.C.min() * (1 - 1e-9) else 0.0
            return Reading(C, np.nan, least, np.inf, np.nan, why)
        most = float(self.a.C.min() / C) if C <= self.b.C.max() * (1 + 1e-9) else np.inf
        return Reading(C, np.nan, 0.0, most, np.nan, why)

    def loss_gap(self, C: float, level: float) -> tuple[float, float, float]:
        """Loss of B minus that of A at one compute, with its interval [unit of the loss]."""
        log_C = float(np.log(C))

        def gap(theta: Array) -> Array:
            of_a, of_b = self.fit.surface.losses(theta, log_C, self.path)
            return np.asarray(of_b - of_a, float)

        return self.fit.mixture(gap, self.fit.weights(self.vouched(C))).interval(level)

    def trend(self, level: float) -> tuple[float, float, float, float]:
        """Factor on the multiplier per decade of compute below the most expensive common run, its interval and p value.

        Over the fits in which a trend can be: NaN where the laws were stated to be equal.
        """
        weights = self.fit.weights() * np.array([width != "same" for width in self.fit.widths])
        if not weights.sum() > 0:
            return (np.nan,) * 4
        log_C = float(np.log(self.C_max))

        def slope(theta: Array) -> Array:
            high, low = (self.fit.surface.log_multiplier(theta, c, self.path) for c in (log_C, log_C - np.log(10)))
            return np.asarray(high - low, float)

        found = self.fit.mixture(slope, weights / weights.sum())
        middle, lower, upper = (float(np.exp(np.clip(v, -700, 700))) for v in found.interval(level))
        below = found.below(0.0)
        return middle, lower, upper, 2 * min(below, 1 - below)

    def crossing(self, level: float) -> tuple[float, float, float]:
        """Compute at which neither recipe is better, within ten times the runs, and where the interval holds 1."""
        none = (np.nan, np.nan, np.nan)
        p = self.trend(level)[3]
        if self.apart or not p < 0.05:
            return none
        grid = np.geomspace(min(self.a.C.min(), self.b.C.min()) / 10, self.C_max * 10, 61)
        ends = np.array([self.mixture(float(C)).interval(level) for C in grid])
        turns = np.flatnonzero(np.sign(ends[1:, 0]) != np.sign(ends[:-1, 0]))
        if not len(turns):
            return none
        i = int(turns[0])
        share = ends[i, 0] / (ends[i, 0] - ends[i + 1, 0])
        inside = (ends[:, 1] <= 0) & (ends[:, 2] >= 0)
        first = np.flatnonzero(~inside[: i + 1])
        last = np.flatnonzero(~inside[i + 1 :])
        lower = float(grid[first[-1] + 1]) if len(first) else 0.0
        upper = float(grid[i + last[0]]) if len(last) else np.inf
        C = float(np.exp(np.log(grid[i]) + share * np.log(grid[i + 1] / grid[i])))
        return C, min(lower, C), max(upper, C)

    def split(self) -> tuple[float, float]:
        """By how much B's N and its D count for more than A's; NaN where runs do not tell them apart."""
        names = self.fit.surface.names
        if "w" not in names:
            return np.nan, np.nan
        M, w = (float(self.fit.weights() @ self.fit.theta[:, names.index(name)]) for name in ("M", "w"))
        return float(np.exp((M + w) / 2)), float(np.exp((M - w) / 2))

    def runs_needed(self) -> float:
        """Runs per recipe that would show a gain of 5 % at the centre of the runs with probability 0.8."""
        weights = self.fit.weights()
        shared = np.array([float(name.split()[-1]) if "pair" in name else 0.0 for name in self.fit.structures])
        noise = float(np.sqrt(weights @ (self.fit.noise**2 * (1 - shared))))
        log_C, step = float(np.log(self.C_centre)), 0.05
        i = self.fit.best()
        theta = self.fit.theta[[i]]
        high, low = (self.fit.surface.losses(theta, log_C + s, self.path)[0][0] for s in (step, -step))
        slope = float(np.log(low / high)) / (2 * step)
        if not slope > 0:
            return np.nan
        per_error = _WIDER * noise / (slope * np.log(_SEEN))
        taken = len(self.a.loss) + len(self.b.loss) - float(weights @ self.fit.dof)  # degrees of freedom, by the law
        runs = max(int(2 * (_MANY * per_error) ** 2), _LEAST_RUNS)
        while runs < 2 * (_distance(2 * runs - taken) * per_error) ** 2:
            runs += 1
        return float(runs)

    def shared_cells(self) -> list[tuple[AnyArray, AnyArray]]:
        """The runs (indices) of A and those of B at each N and D that both have; seeds are of one cell."""
        cell = same_cells(self.a, self.a).argmax(axis=1)  # the first run that is there
        near = same_cells(self.a, self.b)
        cells = [(np.flatnonzero(cell == first), np.flatnonzero(near[first])) for first in np.unique(cell)]
        return [(i, j) for i, j in cells if len(j)]

    def differences(self) -> Array:
        """Mean loss of B less that of A in each cell of both [the unit of the loss]."""
        means = [(self.a.loss[i].mean(), self.b.loss[j].mean()) for i, j in self.shared_cells()]
        return np.array([0.0 if abs(b - a) <= _ROUNDING * a else b - a for a, b in means])

    def notes(self) -> list[Note]:
        """What a reader must know of this pair."""
        found = list(self.earlier)
        label, weights = self.b.label, self.fit.weights()
        if self.set_aside:
            listed = shortlist((f"{name} row {row}" for name, row in self.set_aside), 6)
            text = (
                f"Set aside, far off the law: {several(len(self.set_aside), 'run')} ({listed}). Look whether any "
                "diverged or is unfinished."
            )
            found.append(Note("outliers", "warning", text, {"n": len(self.set_aside)}))
        if self.apart:
            text = (
                f"Every run of {label} is {self.apart} every run of {self.a.label}: the two have no loss in common, "
                "and only a bound from the runs themselves is given. Add runs that overlap in loss."
            )
            found.append(Note("no_overlap", "warning", text))
        wide = float(weights[[width == "wide" for width in self.fit.widths]].sum())
        if self.fit.differ == "law" and wide > _MUCH_WIDE:
            text = (
                f"{self.a.label} and {label} do not look like one law (weight {wide:.2f} of exponents or floors far "
                "apart): other data, other text, other schedule or diverged runs? The multiplier then depends on the "
                "loss at which it is read."
            )
            found.append(Note("two_laws", "warning", text, {"weight": wide}))
        by_size = float(weights[[name.startswith("size") for name in self.fit.structures]].sum())
        if by_size > _MUCH_SIZE and self.groups < _FEW_GROUPS:
            text = (
                f"Runs of one size share their error, and there are {self.groups} groups of them: the interval may be "
                "a little narrow. Add sizes."
            )
            found.append(Note("few_sizes", "info", text, {"groups": self.groups}))
        if not self.shared_cells():
            text = (
                f"No run of {label} has the N and D of a run of {self.a.label}. Runs of the same N, D, seed and data "
                "order in both are worth three to five times as many as others."
            )
            found.append(Note("no_pairs", "info", text))
        ratios = [np.log(side.D / side.N) for side in (self.a, self.b)]
        if confounded := self.ratios_confounded:
            text = (
                f"{self.a.label} has about {confounded[0]:.3g} tokens per parameter and {label} about "
                f"{confounded[1]:.3g}: the effects of the recipe and of the ratio cannot be separated, and the "
                "multiplier is for both. Add runs of both at one ratio."
            )
            found.append(Note("ratios_apart", "warning", text))
        elif max(r.min() for r in ratios) > min(r.max() for r in ratios) + 0.05:
            text = (
                "The two recipes share no ratio of tokens to parameters: the comparison rests on the law alone. Add "
                f"runs of both at one ratio, or pass {arg('law', 'power_law')} to compare along the runs as they are."
            )
            found.append(Note("ratios_apart", "warning", text))
        if max(self.a.repeats, self.b.repeats) > 1.01:
            most = max(self.a.repeats, self.b.repeats)
            text = f"Some runs saw their data {most:.2g} times: repeated tokens count as new."
            found.append(Note("epochs", "warning", text))
        return found

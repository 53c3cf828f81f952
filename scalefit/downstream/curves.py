"""A metric as a curve in the loss: every curve that the models allow, as draws.

Three forms, averaged by evidence: flat; chance plus an exponential of the loss (the form of
:class:`scalefit.laws.downstream_error.DownstreamError`); and chance plus a sigmoid with a ceiling of its own (that of
:class:`scalefit.laws.ladder_sigmoid.LadderSigmoid`). Steepness, place of the rise and scatter are summed over a grid,
what enters linearly (chance and gain) in closed form, so nothing is searched for and no basin is missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from scalefit._typing import AnyArray, Array

Form = Literal["flat", "exponential", "sigmoid"]
FORMS: tuple[Form, ...] = ("flat", "exponential", "sigmoid")

#: Draws behind every curve.
N_DRAWS = 2000
#: Steepness times the middle loss: lognormal. Published curves have 3.6 (means of tasks) to 6.4 (single tasks).
_STEEP, _STEEP_SD, _STEEPS = 5.0, 0.9, (0.5, 60.0, 14)
#: Losses at half of the gain, from this share of the lowest loss seen to that of the highest: a task that the worst
#: model already does well enough has its rise behind it, and its ceiling ahead.
_LOWEST, _HIGHEST, _PLACES = 0.4, 1.5, 18
_SCATTERS, _SCATTER = 8, (0.05, 1.3)
#: Scatter that grows with the slope: the loss is not a perfect stand-in for what the task asks.
_SLOPE_SHARES = (0.0, 1.0, 3.0)
#: Priors on shares that are right: what guessing gets, its standard deviation, and that of the gain (guesses).
_CHANCE, _CHANCE_SD, _GAIN_SD = 0.3, 0.3, 0.5
_TRIES = 20
#: Models count by their nearness to the lowest loss, half where theirs is a fifth above it: what comes next hangs on
#: the curve there, and a form that is a little wrong far above would bend it (measured: docs/downstream.md).
_NEAR = 0.2
#: Log weight below the best node from which a node is left out of the finer grid; least spread of a metric.
_MASS, _LEAST = 8.0, 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class _Nodes:
    """Grid of one form: steepness and place (m,), log prior mass (m,), basis and its slope (m, n), scatters (s,).

    ``log_scatter`` is the log prior mass of one scatter; ``cells`` are spacings of ln steepness, place, ln scatter;
    ``counts`` (n,) is how much of a model counts: less, far above the lowest loss.
    """

    form: Form
    steep: Array
    place: Array
    log_prior: Array
    basis: Array
    slope: Array
    scatters: Array
    log_scatter: float
    cells: tuple[float, float, float]
    counts: Array


def _basis(form: AnyArray | Form, steep: Array, place: Array, loss: Array, lowest: float) -> tuple[Array, Array]:
    """Share of the gain that is reached at a loss, and its slope in the loss; shapes broadcast."""
    from scipy.special import expit

    exponential = np.exp(np.clip(-steep * (loss - lowest), -60.0, 60.0))
    sigmoid = expit(-steep * (loss - place))
    raised = np.where(np.asarray(form) == "exponential", exponential, sigmoid)
    slope = np.where(np.asarray(form) == "exponential", -steep * exponential, -steep * sigmoid * (1 - sigmoid))
    flat = np.asarray(form) == "flat"
    return np.where(flat, 0.0, raised), np.where(flat, 0.0, slope)


class Grid:
    """Every curve in a set of losses (n,), for any number of metrics of the same models."""

    def __init__(self, loss: Array) -> None:
        self.loss = np.asarray(loss, float)
        self.lowest, self.highest = float(self.loss.min()), float(self.loss.max())
        self.middle = float(np.median(self.loss))
        self.counts = 1.0 / (1.0 + ((self.loss / self.lowest - 1.0) / _NEAR) ** 2)
        low, high, _ = _STEEPS
        self.box = (
            np.log(low / self.middle),
            np.log(high / self.middle),
            _LOWEST * self.lowest,
            _HIGHEST * self.highest,
        )

    def _nodes(self, form: Form, box: tuple[float, ...], scatter: tuple[float, float]) -> _Nodes:
        """Even nodes within a box: ln steepness from, to, place from, to; and ln scatter from, to."""
        n_steep, n_place = (
            (_STEEPS[2], _PLACES) if form == "sigmoid" else (_STEEPS[2] if form == "exponential" else 1, 1)
        )
        log_steep, d_steep = _even(box[0], box[1], n_steep)
        place, d_place = _even(box[2], box[3], n_place)
        log_scatters, d_scatter = _even(*scatter, _SCATTERS)
        both, x0 = np.repeat(log_steep, n_place), np.tile(place, n_steep)
        prior = np.zeros(len(both))
        if form != "flat":
            z = (both + np.log(self.middle / _STEEP)) / _STEEP_SD
            prior = -0.5 * z**2 - np.log(_STEEP_SD * np.sqrt(2 * np.pi)) + np.log(d_steep)
        if form == "sigmoid":
            prior = prior + np.log(d_place / (self.box[3] - self.box[2]))
        basis, slope = _basis(form, np.exp(both)[:, None], x0[:, None], self.loss, self.lowest)
        mass = float(np.log(d_scatter / np.log(_SCATTER[1] / _SCATTER[0])))
        cells = (d_steep, d_place, d_scatter)
        return _Nodes(form, np.exp(both), x0, prior, basis, slope, np.exp(log_scatters), mass, cells, self.counts)

    def fit(self, metric: Array, chance: float | None = None, seed: int = 0) -> Curve:
        """All curves of one metric: a coarse grid finds where the mass is, a finer one fills that box.

        Parameters
        ----------
        metric : ndarray (n,)
            Between 0 and 1, higher is better.
        chance : float, optional
            What guessing gets; estimated where not given.
        seed : int
            Of the draws.
        """
        y = np.asarray(metric, float)
        spread = max(float(y.std()), _LEAST)
        unit = 2.0 * spread / max(self.highest - self.lowest, 1e-9)
        scatter = (float(np.log(_SCATTER[0] * spread)), float(np.log(_SCATTER[1] * spread)))
        blocks: list[_Block] = []
        wrong: list[float] = []
        for form in FORMS:
            box: tuple[float, ...] = self.box
            width = scatter
            for last in (False, True):
                nodes = self._nodes(form, box, width)
                shares = (0.0,) if form == "flat" else _SLOPE_SHARES
                found = [pair for share in shares for pair in _blocks(nodes, y, chance, share, unit)]
                for block, _ in found:
                    block.log_weight -= np.log(len(shares))
                if not last:
                    box, width = _box(nodes, [block for block, _ in found], box, width)
                    wrong += [value - np.log(len(shares)) for _, value in found]
            blocks += [block for block, _ in found]
        totals = {
            form: float(
                np.logaddexp.reduce([np.logaddexp.reduce(b.log_weight) for b in blocks if b.nodes.form == form])
            )
            for form in FORMS
        }
        sums = np.array([*totals.values(), np.logaddexp.reduce(wrong)])
        weights = np.exp(sums - np.logaddexp.reduce(sums))
        drawn = _draw(blocks, chance, np.random.default_rng(seed))
        rising = dict(zip((*FORMS, "wrong"), map(float, weights), strict=True))
        return Curve(**drawn, lowest=self.lowest, highest=self.highest, unit=unit, weights=rising, known=chance)


def _even(low: float, high: float, n: int) -> tuple[Array, float]:
    """Middles (n,) of even cells from low to high, and their width."""
    width = (high - low) / n
    return np.asarray(low + width * (np.arange(n) + 0.5), float), width


def _box(
    nodes: _Nodes, blocks: list[_Block], box: tuple[float, ...], scatter: tuple[float, float]
) -> tuple[tuple[float, ...], tuple[float, float]]:
    """The part of a box that holds the mass, a cell wider on every side."""
    weight = np.stack([block.log_weight for block in blocks])
    heavy = weight > weight.max() - _MASS
    at, sizes = heavy.any(axis=0), np.array([block.scatter for block in blocks])[heavy.any(axis=1)]

    def around(values: Array, cell: float, low: float, high: float) -> tuple[float, float]:
        return max(low, float(values.min()) - 1.5 * cell), min(high, float(values.max()) + 1.5 * cell)

    steep = around(np.log(nodes.steep[at]), nodes.cells[0], box[0], box[1])
    place = around(nodes.place[at], nodes.cells[1], box[2], box[3])
    return (*steep, *place), around(np.log(sizes), nodes.cells[2], *scatter)


@dataclass(slots=True, eq=False)
class _Block:
    """A form's grid at one scatter: posterior of what enters linearly, mean (m, p) and covariance (m, p, p)."""

    nodes: _Nodes
    share: float
    scatter: float
    mean: Array
    cov: Array
    log_weight: Array


def _blocks(nodes: _Nodes, y: Array, chance: float | None, share: float, unit: float) -> list[tuple[_Block, float]]:
    """Posteriors over a grid of scatters, each with the log evidence of curves that fall where they should rise."""
    from scipy.special import log_ndtr

    m, n = nodes.basis.shape
    flat = nodes.form == "flat"
    if flat:
        design, center, width = np.ones((1, n, 1)), np.array([float(y.mean())]), np.array([_CHANCE_SD])
    elif chance is None:
        design = np.stack([np.ones_like(nodes.basis), nodes.basis], axis=2)
        center, width = np.array([_CHANCE, 0.0]), np.array([_CHANCE_SD, _GAIN_SD])
    else:
        design, center, width = nodes.basis[:, :, None], np.zeros(1), np.array([_GAIN_SD])
    target = y if chance is None or flat else y - chance
    p = design.shape[2]
    variance, counts = np.ones((m, n)), nodes.counts
    if share > 0:
        inverse, _ = _inverse((design * counts[:, None]).transpose(0, 2, 1) @ design + 1e-9 * np.eye(p))
        rough = np.einsum("mij,mj->mi", inverse, (target * counts) @ design)[:, -1]
        variance += (share * np.maximum(rough, 0.0)[:, None] * nodes.slope / unit) ** 2
    weighted = design * (counts / variance)[:, :, None]
    square = weighted.transpose(0, 2, 1) @ design
    left = target - design @ center
    cross = np.einsum("mni,mn->mi", weighted, left)
    rest, log_variance = (counts * left**2 / variance).sum(axis=1), (counts * np.log(variance)).sum(axis=1)
    scatters = nodes.scatters
    cov, log_det = _inverse(square / scatters[:, None, None, None] ** 2 + np.diag(width**-2.0))
    moved = np.einsum("smij,mj->smi", cov, cross) / scatters[:, None, None] ** 2
    log_evidence = (
        -0.5 * (rest - np.einsum("mi,smi->sm", cross, moved)) / scatters[:, None] ** 2
        - counts.sum() * np.log(scatters[:, None])
        - 0.5 * log_variance
        - 0.5 * log_det
        - np.log(width).sum()
        + nodes.log_prior
        + nodes.log_scatter
    )
    mean, falling = center + moved, np.full(len(scatters), -np.inf)
    if not flat:  # the gain is positive: a half-normal prior, whose mass is known
        z = mean[..., -1] / np.sqrt(cov[..., -1, -1])
        falling = np.logaddexp.reduce(log_evidence + log_ndtr(-z) + np.log(2.0), axis=1)
        log_evidence = log_evidence + log_ndtr(z) + np.log(2.0)
    if nodes.form == "sigmoid":  # and no ceiling is above 1: the share of each node that the draws can keep
        top = mean.sum(axis=2) + (0.0 if p == 2 else float(chance or 0.0))
        log_evidence = log_evidence + log_ndtr((1.0 - top) / np.sqrt(cov.sum(axis=(2, 3))))
    return [
        (_Block(nodes, share, float(scatter), mean[i], cov[i], log_evidence[i]), float(falling[i]))
        for i, scatter in enumerate(scatters)
    ]


def _inverse(matrices: Array) -> tuple[Array, Array]:
    """Inverse and log determinant of symmetric matrices (..., p, p), p of 1 or 2."""
    if matrices.shape[-1] == 1:
        return 1.0 / matrices, np.log(matrices[..., 0, 0])
    a, b, d = matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 1, 1]
    det = a * d - b * b
    return np.stack([d, -b, -b, a], axis=-1).reshape(matrices.shape) / det[..., None, None], np.log(det)


def _draw(blocks: list[_Block], chance: float | None, rng: np.random.Generator) -> dict[str, AnyArray]:
    """Draws of everything; those that leave the range of a share are drawn again."""
    log_weight = np.concatenate([block.log_weight for block in blocks])
    weight = np.exp(log_weight - log_weight.max())
    picked = rng.choice(len(weight), size=N_DRAWS, p=weight / weight.sum())
    starts = np.cumsum([0, *(len(block.log_weight) for block in blocks)])
    block_of = np.searchsorted(starts, picked, side="right") - 1
    out: dict[str, AnyArray] = {key: np.zeros(N_DRAWS) for key in ("chance", "gain", "steep", "place", "scatter")}
    out |= {"share": np.zeros(N_DRAWS), "form": np.full(N_DRAWS, "flat", dtype="U11")}
    good = np.zeros(N_DRAWS, bool)
    for i in np.unique(block_of):
        block, at = blocks[i], np.flatnonzero(block_of == i)
        node = picked[at] - starts[i]
        form, p = block.nodes.form, block.mean.shape[1]
        factor = np.linalg.cholesky(block.cov[node] + 1e-16 * np.eye(p))
        left = np.arange(len(at))
        for _ in range(_TRIES):
            steps = np.einsum("dij,dj->di", factor[left], rng.standard_normal((len(left), p)))
            values = block.mean[node[left]] + steps
            base = np.full(len(left), chance) if p == 1 and form != "flat" else values[:, 0]
            gain = np.zeros(len(left)) if form == "flat" else values[:, -1]
            inside = (base >= 0) & (base <= 1) & (gain >= 0) & ((form == "exponential") | (base + gain <= 1))
            rows = at[left[inside]]
            out["chance"][rows], out["gain"][rows], good[rows] = base[inside], gain[inside], True
            left = left[~inside]
            if not left.size:
                break
        for key, value in (("steep", block.nodes.steep[node]), ("place", block.nodes.place[node])):
            out[key][at] = value
        out["scatter"][at], out["share"][at], out["form"][at] = block.scatter, block.share, form
    if not good.all():
        again = np.flatnonzero(good) if good.any() else np.arange(N_DRAWS)
        instead = again[rng.integers(0, len(again), int((~good).sum()))]
        out = {key: np.where(good, value, 0) if key != "form" else value for key, value in out.items()}
        for value in out.values():
            value[~good] = value[instead]
    return out


@dataclass(frozen=True, eq=False)
class Curve:
    """Draws (d,) of a metric's curve in the loss; made by :meth:`Grid.fit`.

    A draw is ``chance + gain * share`` of a loss, with scatter about it; ``weights`` are those of the three forms, and
    ``"wrong"`` is that of curves along which a lower loss makes the metric worse.
    """

    form: AnyArray
    chance: Array
    gain: Array
    steep: Array
    place: Array
    scatter: Array
    share: Array
    lowest: float
    highest: float
    unit: float
    weights: Mapping[str, float]
    known: float | None

    def at(self, loss: Array) -> tuple[Array, Array]:
        """Metric and its scatter (d, m) at losses (m,), or at one row of losses (d, m) per draw."""
        parts = (self.form, self.steep, self.place, self.chance, self.gain, self.scatter, self.share)
        form, steep, place, chance, gain, scatter, share = (part[:, None] for part in parts)
        raised, slope = _basis(form, steep, place, np.asarray(loss, float), self.lowest)
        spread = scatter * np.sqrt(1.0 + (share * gain * slope / self.unit) ** 2)
        return np.clip(chance + gain * raised, 0.0, 1.0), spread

    def median(self, loss: Array) -> Array:
        """Median curve (m,)."""
        return np.asarray(np.median(self.at(loss)[0], axis=0))

    @property
    def base(self) -> float:
        """What guessing gets: as given, or the median of the draws."""
        return float(np.median(self.chance)) if self.known is None else self.known

    @cached_property
    def best(self) -> float:
        """Where the median curve has come at the lowest loss seen."""
        return float(self.median(np.array([self.lowest]))[0])

    @cached_property
    def risen(self) -> float:
        """How far that is, as a share of the way from guessing to 1."""
        return max(self.best - self.base, 0.0) / max(1.0 - self.base, 1e-9)

    @cached_property
    def typical(self) -> int:
        """The draw whose curve is nearest to the median one, over the losses seen and half as far below them."""
        grid = np.linspace(self.lowest - 0.5 * (self.highest - self.lowest), self.highest, 24)
        grid = grid[grid > 0]
        values = self.at(grid)[0]
        return int(np.argmin(((values - np.median(values, axis=0)) ** 2).sum(axis=1)))

"""Where fits of laws with many basins start: breaks scanned over the data, repetition constants on a grid."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.laws._forms import softplus

#: Width of a turn that takes up most of what a table spans.
_WIDE = 4.0


def _grid_of_slopes() -> Array:
    """Nodes (m, 4): slope before the break, its change, the share of runs below the break, the width."""
    before, after = (0.03, 0.08, 0.16, 0.3, 0.5, 0.9), (-0.6, -0.25, -0.1, 0.0, 0.05, 0.12, 0.25, 0.45, 0.8)
    shares = (0.08, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.92)
    between = [(c0, c - c0, d, f) for c0 in before for c in after for d in shares for f in (0.12, 0.4, 1.2)]
    # Slopes that steepen or flatten in proportion: small exponents need a finer grid than the one above.
    times = [
        (c0, k * c0, d, f)
        for c0 in (0.03, 0.1, 0.2, 0.4)
        for k in (-0.3, 0.5, 2.0, 5.0)
        for d in (0.2, 0.4, 0.6, 0.8)
        for f in (0.2, 0.7, 2.0)
    ]
    # Turns that take up most of what a table spans; where they are centred matters less.
    wide = [(c0, c - c0, d, _WIDE) for c0 in before for c in after for d in (0.2, 0.5, 0.8, 1.0)]
    return np.array(between + times + wide)


#: Nodes scanned, and how many of them are handed on, narrow and wide.
_NODES, _KEPT, _KEPT_WIDE = _grid_of_slopes(), 256, 8


def _floor_and_coefficient(power: Array, one: Array) -> tuple[Array, Array]:
    """Non-negative least squares (m,) of E one (n,) + A power (m, n) = 1; neither is left at nothing."""
    ee, ea, aa = float(one @ one), power @ one, (power * power).sum(axis=1)
    e1, a1 = float(one.sum()), power.sum(axis=1)
    size = np.maximum(ee * aa - ea * ea, 1e-12 * ee * aa)
    E, A = (aa * e1 - ea * a1) / size, (ee * a1 - ea * e1) / size
    E, A = np.where(A > 0, E, e1 / ee), np.where(E > 0, A, a1 / aa)
    return np.maximum(E, 1e-3 * e1 / ee), np.maximum(A, 1e-3 * a1 / aa)


def break_starts(columns: dict[str, Array], loss: Array) -> Array:
    """Breaks scanned over the data, between any two slopes; linear in E and A once those are given."""
    (x,) = columns.values()
    log_x = np.log(x)
    c0, c1, share, f1 = _NODES.T[:, :, None]
    log_d1 = np.quantile(log_x, share)
    log_power = -c0 * log_x - c1 * f1 * softplus((log_x - log_d1) / f1)
    top = log_power.max(axis=1, keepdims=True)
    E, A = _floor_and_coefficient(np.exp(log_power - top) / loss, 1.0 / loss)
    residual = np.abs(E[:, None] / loss + A[:, None] * np.exp(log_power - top) / loss - 1.0).sum(axis=1)
    # What decides the order must not hang on rounding: nodes that fit alike keep the order of the grid.
    rank = np.argsort(np.log(residual + 1e-12).round(6), kind="stable")
    # Wide turns fit much alike: but for a few they would crowd out the others.
    wide = f1[rank, 0] == _WIDE
    rank = rank[np.where(wide, np.cumsum(wide) <= _KEPT_WIDE, np.cumsum(~wide) <= _KEPT)]
    A = A * np.exp(-top[:, 0])
    return np.column_stack([E, A, c0[:, 0], c1[:, 0], np.exp(log_d1[:, 0]), f1[:, 0]])[rank]


#: Of two breaks: shares of runs below them, their widths, and the floor as a share of the lowest loss; nodes handed on.
_PLACES, _WIDTHS, _PAIRS_KEPT = np.linspace(0.08, 0.92, 9), (0.12, 0.4, 1.2), 256
_FLOORS = np.array([1e-3, 0.5, 0.8, 0.95, 0.99])


def two_break_starts(columns: dict[str, Array], loss: Array) -> Array:
    """Pairs of breaks scanned over the data for several floors; the logarithm of what is left is linear in the rest."""
    (x,) = columns.values()
    log_x = np.log(x)
    pairs = [(d1, d2) for d1, d2 in itertools.combinations(np.quantile(log_x, _PLACES), 2) if d1 < d2]
    nodes = np.array([(d1, d2, *f) for d1, d2 in pairs for f in itertools.product(_WIDTHS, repeat=2)])
    d, f = nodes[:, :2, None], nodes[:, 2:, None]
    turns = -f * softplus((log_x - d) / f)
    ones = np.ones((len(nodes), 1, len(x)))
    basis = np.concatenate([ones, -log_x * ones, turns], axis=1)
    rows = []
    for floor in _FLOORS * loss.min():
        share = 1.0 - floor / loss  # how much the logarithm of the loss moves with that of the rest
        weighted, wanted = basis * share, share * np.log(loss - floor)
        size = np.sqrt((weighted**2).sum(axis=2))[:, :, None] + 1e-300
        scaled = weighted / size
        normal = scaled @ np.swapaxes(scaled, 1, 2) + 1e-9 * np.eye(4)
        solved = np.linalg.solve(normal, scaled @ wanted[:, None])[:, :, 0] / size[:, :, 0]
        solved[:, 1:] = np.clip(solved[:, 1:], (0.0, -3.0, -3.0), 3.0)
        solved[:, 0] += ((wanted - (solved[:, :, None] * weighted).sum(axis=1)) / share).mean(axis=1)
        miss = np.abs(wanted - (solved[:, :, None] * weighted).sum(axis=1)).sum(axis=1)
        start = np.column_stack([np.exp(solved[:, 0]), solved[:, 1:], np.exp(nodes[:, :2]), nodes[:, 2:]])
        rows.append(np.column_stack([miss, np.full(len(nodes), floor), start]))
    table = np.concatenate(rows)
    # What decides the order must not hang on rounding.
    best = table[np.argsort(np.log(table[:, 0] + 1e-12).round(6), kind="stable")[:_PAIRS_KEPT], 1:]
    return best[:, [0, 1, 2, 3, 5, 7, 4, 6, 8]]


#: Value (of a floor, above the lowest loss), slope and power mid-table of the logarithms of floor, coefficient and
#: exponent of data: between what they are drawn; how many are drawn and walked down; steps;
#: how many are handed on; the least and largest size of a power.
_STRETCHED = (
    (-1.5, -0.01),
    (-0.4, 0.1),
    (-0.3, 0.3),
    (0, 0),
    (0, 0),
    (0.05, 0.3),
    (-2.3, 0.0),
    (-0.2, 0.2),
    (-0.3, 0.3),
)
_DRAWN, _WALKED, _STEPS, _LOWEST, _LEAST, _MOST = 2048, 192, 100, 32, 0.01, 0.5


def repetition_starts(columns: dict[str, Array], loss: Array) -> Array:
    """Chinchilla's least squares on effective tokens, for a grid of exponents and repetition constants."""
    n, d = columns["N"], columns["D"]
    u = np.minimum(d, columns["unique_tokens"])
    rows = []
    for R_D in (3.0, 15.0, 75.0):
        d_eff = u * (1 + R_D * (1 - np.exp(-(d / u - 1) / R_D)))
        for alpha in np.geomspace(0.1, 1.0, 5):
            for beta in np.geomspace(0.1, 1.0, 5):
                basis = np.stack([np.ones_like(n), n**-alpha, d_eff**-beta]) / loss
                size = np.abs(basis).mean(axis=1, keepdims=True)
                E, A, B = np.linalg.lstsq((basis / size).T, np.ones_like(n), rcond=None)[0]
                E, A, B = (max(c, 1e-3) / k for c, k in zip((E, A, B), size[:, 0], strict=True))
                rows += [(E, A, alpha, B, beta, R_D, R_N) for R_N in (1.0, 5.0, 25.0)]
    return np.asarray(rows)


#: Exponents of size and data beside a bowl, how closely its two settings may go together, and how fast they may move.
_BOWL_EXPONENTS, _TILT, _STEEPEST = (0.03, 0.06, 0.12, 0.2, 0.3, 0.5, 0.8), 0.95, 1.5


def bowl_starts(columns: Mapping[str, Array], loss: Array) -> Array:
    """Middle and bends of a bowl over learning rate and batch by least squares, then E, A, B for a grid of exponents.

    Beside a quadratic whose slopes go with ln N and ln D, powers of these stand for the loss at the middle.
    """
    one, n, d = np.ones_like(loss), np.log(columns["N"]), np.log(columns["D"])
    a, b = np.log(columns["lr"]), np.log(columns["batch_size"])
    centre = [float(value.mean()) for value in (n, d, a, b)]
    n, d, a, b = (value - middle for value, middle in zip((n, d, a, b), centre, strict=True))
    sized = [one, n, d, n * d, n**2, d**2, n**3, d**3]
    solved = _relative(np.stack([a * a, a * b, b * b, *(z * y for z in (a, b) for y in (one, n, d)), *sized]), loss)
    # Where the runs bend down along a setting, it gets a faint bowl.
    least = 1e-4 * float(loss.min())
    q, s = max(float(solved[0]), least), max(float(solved[2]), least)
    x = float(np.clip(solved[1] / 2 / np.sqrt(q * s), -_TILT, _TILT))
    bends = np.array([[q, x * np.sqrt(q * s)], [x * np.sqrt(q * s), s]])
    middle = -np.linalg.solve(bends, solved[3:9].reshape(2, 3)) / 2
    reach = np.ptp(np.stack([a, b]), axis=1) + 1  # a faint bowl has its middle anywhere
    most = np.column_stack([reach, np.full((2, 2), _STEEPEST)])
    middle = np.clip(middle, -most, most)
    m, slope, k = -middle[0, 1], middle[0, 2], middle[1, 2]
    u, v = a - middle[0] @ [one, n, d], b - middle[1, 0] - k * d
    c = np.exp(middle[0, 0] + centre[2] + m * centre[0] - slope * centre[1])
    c_b = np.exp(middle[1, 0] + centre[3] - k * centre[1])
    above = q * u**2 + s * v**2 + 2 * x * np.sqrt(q * s) * u * v
    rows = []
    for alpha, beta in itertools.product(_BOWL_EXPONENTS, repeat=2):
        E, A, B = _relative(np.stack([one, np.exp(-alpha * n), np.exp(-beta * d)]), loss, loss - above)
        E, A, B = (max(float(value), 1e-3) for value in (E, A, B))
        A, B = A * np.exp(alpha * centre[0]), B * np.exp(beta * centre[1])
        rows.append((E, A, alpha, B, beta, q, s, x, c, m, slope, c_b, k))
    return np.array(rows)


def _relative(basis: Array, loss: Array, target: Array | None = None) -> Array:
    """Least squares (k,) of a basis (k, n) to the loss, or a target beside it, with errors relative to the loss."""
    wanted = np.ones_like(loss) if target is None else target / loss
    size = np.abs(basis).max(axis=1, keepdims=True) + 1e-300
    return np.asarray(np.linalg.lstsq((basis / size / loss).T, wanted, rcond=1e-12)[0] / size[:, 0])


def linear_starts(law: Any, columns: Mapping[str, Array], target: Array, grid: Mapping[str, Sequence[float]]) -> Array:
    """Least squares of all other parameters for each node of a grid of some.

    For laws whose target, or its logarithm where residuals are of that, is linear in the others, of either sign.
    """
    link = np.log if law.target.scale == "log" else np.asarray
    linear = [name for name in law.parameters if name not in grid]
    low, high = np.array([law.parameters[name].bounds for name in linear]).T
    rows = []
    for node in itertools.product(*grid.values()):
        values = {**dict.fromkeys(linear, 0.0), **dict(zip(grid, node, strict=True))}
        basis = [link(law.evaluate(columns, {**values, name: 1.0})) for name in linear]
        design = np.stack(np.broadcast_arrays(*basis), axis=1)
        size = np.abs(design).max(axis=0) + 1e-300
        solved = np.linalg.lstsq(design / size, link(target), rcond=1e-12)[0] / size
        values |= dict(zip(linear, np.clip(solved, low, high), strict=True))
        rows.append([values[name] for name in law.parameters])
    return np.array(rows)


def stretched_starts(columns: Mapping[str, Array], loss: Array) -> Array:
    """Random floors, coefficients and exponents of data, walked down in variables of which none is the others' limit.

    Each of three logarithms is s N^p + c. As p goes to nothing s and c grow without end, and no descent leads p to the
    other sign; in its value, slope and power mid-table there is no such wall.
    """
    rng, log_n, log_d = np.random.default_rng(0), np.log(columns["N"]), np.log(columns["D"])
    centre = log_n.mean()
    z, y = log_n - centre, np.log(loss)
    low, high = np.array(_STRETCHED).T
    nodes = rng.uniform(low, high, (_DRAWN, 9))
    floor, _, exponent = (_stretched(nodes[:, 3 * k : 3 * k + 3], z)[0] for k in range(3))
    nodes[:, 0] += (y - floor).min(axis=1)  # a share of the lowest loss above it
    rest = np.maximum(-np.expm1(floor + nodes[:, [0]] - y), 1e-3)
    # The logarithm of the coefficient is a line, about the middle of what is left.
    w, line = rest**2 / (rest**2).sum(axis=1, keepdims=True), np.log(rest * loss) + np.exp(exponent) * log_d
    middle, at = (w * line).sum(axis=1, keepdims=True), z - (w * z).sum(axis=1, keepdims=True)
    slope = (w * at * line).sum(axis=1) / (w * at**2).sum(axis=1)
    nodes[:, 3], nodes[:, 4] = middle[:, 0] + slope * (at - z)[:, 0], slope
    nodes[:, 5] *= np.sign(slope)
    miss = (rest * np.abs(line - middle - slope[:, None] * at)).sum(axis=1)
    # What decides the order must not hang on rounding.
    ends, height = _walk(nodes[np.argsort(np.log(miss + 1e-12).round(6), kind="stable")[:_WALKED]], z, log_d, y)
    ends = ends[np.argsort(np.log(height + 1e-12).round(6), kind="stable")[:_LOWEST]]
    value, slope, power = np.moveaxis(ends.reshape(-1, 3, 3), 2, 0)
    return np.stack([slope / power * np.exp(-power * centre), power, value - slope / power], axis=2).reshape(-1, 9)


def _stretched(triple: Array, z: Array) -> tuple[Array, list[Array]]:
    """A curve (m, n) of value, slope and power (m, 3) at z = 0, and its slopes by them."""
    value, slope, power = triple.T[:, :, None]
    unit = np.expm1(power * z) / power
    return value + slope * unit, [np.ones_like(unit), unit, slope * (z * np.exp(power * z) - unit) / power]


def _walk(x: Array, z: Array, log_d: Array, y: Array) -> tuple[Array, Array]:
    """Levenberg and Marquardt's steps of least squares, reweighted towards absolute errors: ends, and their sums."""
    damping, (r, J) = np.full(len(x), 1e-2), _line(x, z, log_d, y)
    height = np.abs(r).sum(axis=1)
    for _ in range(_STEPS):
        w = 1 / np.maximum(np.abs(r), 1e-3)
        M, g = np.nan_to_num((J * w[:, None]) @ np.swapaxes(J, 1, 2)), np.nan_to_num((J @ (w * r)[:, :, None])[:, :, 0])
        size = np.sqrt(np.einsum("bii->bi", M)) + 1e-12
        M = M / size[:, :, None] / size[:, None, :] + (damping[:, None, None] + 1e-9) * np.eye(9)
        trial = x + np.clip(-np.linalg.solve(M, (g / size)[:, :, None])[:, :, 0] / size, -1, 1)
        powers = np.clip(trial[:, 2::3], -_MOST, _MOST)
        trial[:, 2::3] = np.where(np.abs(powers) < _LEAST, np.copysign(_LEAST, powers), powers)
        trial[:, 5] = np.copysign(trial[:, 5], trial[:, 4])  # what multiplies N^p there is positive
        r_new, J_new = _line(trial, z, log_d, y)
        new = np.nan_to_num(np.abs(r_new).sum(axis=1), nan=np.inf)
        better = new < height
        x, height = np.where(better[:, None], trial, x), np.where(better, new, height)
        r, J = np.where(better[:, None], r_new, r), np.where(better[:, None, None], J_new, J)
        damping = np.where(better, damping / 3, damping * 4)
    return x, height


def _line(x: Array, z: Array, log_d: Array, y: Array) -> tuple[Array, Array]:
    """Residuals (m, n) of the logarithm of a floor and a power of data, and their slopes (m, 9, n)."""
    (floor, by_floor), (top, by_top), (exponent, by_exponent) = (
        _stretched(x[:, 3 * k : 3 * k + 3], z) for k in range(3)
    )
    rest = top - np.exp(exponent) * log_d
    total = np.logaddexp(floor, rest)
    share = np.exp(rest - total)
    chain = (1 - share, by_floor), (share, by_top), (-share * np.exp(exponent) * log_d, by_exponent)
    return total - y, np.stack([outer * inner for outer, slopes in chain for inner in slopes], axis=1)

"""Two recipes on one surface: the joint loss of A and B, and the compute multiplier that it implies.

Both surfaces carry A's constants, B's multiplier(s), and the differences of B's exponents and floor from A's. With
those differences at nothing, B's loss is A's at a multiple of the compute, at every compute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from scalefit._typing import AnyArray, Array

#: Prior on the floor and the exponents [log of nat/token, log]: what published fits of the loss per token agree on.
_LOG_FLOOR, _LOG_EXPONENT, _LOG_COMPUTE_EXPONENT, _SPREAD = 0.62, -1.15, -1.84, 0.25
#: Lowest loss [nat/token] of which these fits speak: two standard deviations below their floors. Spreads of floor and
#: exponents [log] below it: nearly none is ruled out (choices, not measured).
_LOWEST = float(np.exp(_LOG_FLOOR - 2 * _SPREAD))
_OPEN_FLOOR, _OPEN_EXPONENT = 1.5, 0.75
#: Standard deviation [log] of a prior that says nothing.
_FLAT = 50.0
#: Exponents below it are taken for it: a loss that does not fall with compute has no multiplier (a guess).
_LEAST_EXPONENT = 0.01
#: Excess loss, as a share of the floor, below which A is taken to be at its floor.
_NEVER = 1e-4
_REACH = 30.0  # e-folds of compute searched for the compute at which A reaches B's loss

Width = Literal["same", "slight", "wide"]
WIDTHS: tuple[Width, ...] = ("same", "slight", "wide")


@dataclass(frozen=True, slots=True)
class Before:
    """What is held of floor and exponents before the runs are looked at.

    Parameters
    ----------
    log_floor, floor_spread : float
        Centre and standard deviation of the log of the floor.
    exponent_spread : float
        Standard deviation of the logs of the exponents.
    """

    log_floor: float = _LOG_FLOOR
    floor_spread: float = _SPREAD
    exponent_spread: float = _SPREAD


def before(lowest: float, unit: str) -> Before:
    """Return what published fits say, as far as they speak of losses such as these; `lowest` is the lowest one."""
    if unit != "nat/token":
        return Before(float(np.log(0.75 * lowest)))
    if lowest < _LOWEST:
        return Before(float(np.log(0.5 * lowest)), _OPEN_FLOOR, _OPEN_EXPONENT)
    return Before()


@dataclass(frozen=True, slots=True)
class Path:
    """How N and D follow from compute: at the optimum, or with the ratio D/N, N, or D held, or D at most a wall."""

    kind: Literal["optimum", "ratio", "N", "D", "wall", "runs"] = "optimum"
    value: float = float("nan")

    def words(self) -> str:
        """What is held, for a person."""
        return {
            "optimum": "each recipe at its compute-optimal N and D",
            "ratio": f"at {self.value:.3g} tokens per parameter",
            "N": f"at N = {self.value:.3g} parameters",
            "D": f"at D = {self.value:.3g} tokens",
            "runs": "along the sizes of the runs",
            "wall": f"at the optimum with at most {self.value:.3g} tokens",
        }[self.kind]


class Surface(Protocol):
    """What the joint fit needs of a surface; theta has shape (..., n_params), runs shape (n,)."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""

    @property
    def means(self) -> Array:
        """Prior means."""

    def spreads(self, width: Width) -> Array:
        """Prior standard deviations; 0 holds a parameter at 0."""

    def start(self, loss: Array) -> Array:
        """A first guess."""

    def log_loss(self, theta: Array) -> tuple[Array, Array]:
        """Return log losses (k, n) and their derivatives (k, n, n_params) for theta (k, n_params)."""

    def losses(self, theta: Array, log_C: float, path: Path) -> tuple[Array, Array]:
        """Losses of A and of B at one compute."""

    def log_multiplier(self, theta: Array, log_C: float, path: Path) -> Array:
        """Log of the compute that A needs for B's loss, over B's compute."""

    def distances(self) -> Array:
        """Squared distances between runs in logs of what the surface reads, shape (n, n)."""


class AdditiveSurface:
    """E + A N^-alpha + B D^-beta for A; B's N counts k_N times and its D k_D times.

    Parameters
    ----------
    N, D : ndarray, shape (n,)
        Of all runs of both recipes.
    is_b : ndarray of bool, shape (n,)
        Which runs are of B.
    prior : Before, optional
        Of floor and exponents; by default that of losses per token of language models.
    """

    names = ("log_E", "a", "log_alpha", "b", "log_beta", "M", "w", "d_alpha", "d_beta", "d_E")

    def __init__(self, N: Array, D: Array, is_b: AnyArray, prior: Before | None = None) -> None:
        self.log_N0, self.log_D0 = float(np.log(N).mean()), float(np.log(D).mean())
        self.x, self.y = np.log(N) - self.log_N0, np.log(D) - self.log_D0
        self.z = np.asarray(is_b, float)
        self.prior = prior or Before()
        self.means = np.array([self.prior.log_floor, 0, _LOG_EXPONENT, 0, _LOG_EXPONENT, 0, 0, 0, 0, 0])

    def spreads(self, width: Width) -> Array:
        """Prior standard deviations; 0 holds a parameter at 0."""
        w, exponents, floor = {"same": (0.5, 0.0, 0.0), "slight": (0.5, 0.02, 0.01), "wide": (1.0, 0.06, 0.05)}[width]
        bent = self.prior.exponent_spread
        shared = [self.prior.floor_spread, _FLAT, bent, _FLAT, bent, _FLAT]
        return np.array([*shared, w, exponents, exponents, floor])

    def start(self, loss: Array) -> Array:
        """A first guess from the losses."""
        floor = min(float(np.exp(self.means[0])), 0.85 * float(loss.min()))
        rest = np.log(max(float(np.exp(np.log(loss).mean())) - floor, 0.05 * float(loss.min())) / 2)
        return np.array([np.log(floor), rest, -1.1, rest, -1.1, 0, 0, 0, 0, 0])

    def log_loss(self, theta: Array) -> tuple[Array, Array]:
        """Log losses (k, n) and their derivatives (k, n, n_params) for theta (k, n_params)."""
        e, a, la, b, lb, M, w, da, db, dE = (theta[:, [i]] for i in range(10))
        x, y, z = self.x, self.y, self.z
        alpha, beta, u, v = np.exp(la), np.exp(lb), (M + w) / 2, (M - w) / 2
        floor = np.exp(e + z * dE)
        of_N = np.exp(np.clip(a - alpha * (x + z * u) - z * da * x, -60, 60))
        of_D = np.exp(np.clip(b - beta * (y + z * v) - z * db * y, -60, 60))
        f = floor + of_N + of_D
        e_, n_, d_ = floor / f, of_N / f, of_D / f
        by_u, by_v = -alpha * z * n_, -beta * z * d_
        columns = [e_, n_, -alpha * (x + z * u) * n_, d_, -beta * (y + z * v) * d_]
        columns += [(by_u + by_v) / 2, (by_u - by_v) / 2, -z * x * n_, -z * y * d_, z * e_]
        return np.log(f), np.stack(columns, -1)

    def _constants(self, theta: Array) -> tuple[list[Array], list[Array]]:
        """E, a, alpha, b, beta of A and of B."""
        e, a, la, b, lb, M, w, da, db, dE = np.moveaxis(theta, -1, 0)
        alpha, beta = np.exp(la), np.exp(lb)
        own_alpha, own_beta = (np.maximum(v, _LEAST_EXPONENT) for v in (alpha + da, beta + db))
        own = [np.exp(e + dE), a - alpha * (M + w) / 2, own_alpha, b - beta * (M - w) / 2, own_beta]
        return [np.exp(e), a, alpha, b, beta], own

    def _excess(self, constants: list[Array], c: Array, path: Path) -> Array:
        """Loss above the floor at log compute c (of 6 N0 D0) on the path."""
        _, a, alpha, b, beta = constants
        best = (a - b + np.log(alpha) - np.log(beta) + beta * c) / (alpha + beta)
        if path.kind == "optimum":
            x = best
        elif path.kind == "ratio":
            x = (c - (np.log(path.value) - self.log_D0 + self.log_N0)) / 2
        elif path.kind == "N":
            x = np.full_like(c, np.log(path.value) - self.log_N0)
        elif path.kind == "D":
            x = c - (np.log(path.value) - self.log_D0)
        else:
            x = c - np.minimum(c - best, np.log(path.value) - self.log_D0)
        return np.asarray(
            np.exp(np.clip(a - alpha * x, -200, 200)) + np.exp(np.clip(b - beta * (c - x), -200, 200)), float
        )

    def losses(self, theta: Array, log_C: float, path: Path) -> tuple[Array, Array]:
        """Losses of A and of B at one compute."""
        c = np.full(theta.shape[:-1], log_C - np.log(6) - self.log_N0 - self.log_D0)
        of_a, of_b = self._constants(theta)
        return of_a[0] + self._excess(of_a, c, path), of_b[0] + self._excess(of_b, c, path)

    def log_multiplier(self, theta: Array, log_C: float, path: Path) -> Array:
        """Log of the compute that A needs for B's loss, over B's compute."""
        c = np.full(theta.shape[:-1], log_C - np.log(6) - self.log_N0 - self.log_D0)
        of_a, of_b = self._constants(theta)
        wanted = np.maximum(of_b[0] + self._excess(of_b, c, path) - of_a[0], _NEVER * of_a[0])
        if path.kind == "optimum":
            slope = of_a[2] * of_a[4] / (of_a[2] + of_a[4])
            return np.asarray((np.log(self._excess(of_a, np.zeros_like(c), path)) - np.log(wanted)) / slope - c, float)
        low, high = c - _REACH, c + _REACH
        for _ in range(60):
            middle = (low + high) / 2
            above = self._excess(of_a, middle, path) > wanted
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return np.asarray((low + high) / 2 - c, float)

    def distances(self) -> Array:
        """Squared distances between runs in logs, shape (n, n)."""
        return np.asarray((self.x[:, None] - self.x) ** 2 + (self.y[:, None] - self.y) ** 2, float)


class ComputeSurface:
    """E + A C^-gamma for A along one rule of sizes; B's C counts m times. Parameters as in `AdditiveSurface`."""

    names = ("log_E", "a", "log_gamma", "M", "d_gamma", "d_E")

    def __init__(self, C: Array, is_b: AnyArray, prior: Before | None = None) -> None:
        self.log_C0 = float(np.log(C).mean())
        self.x, self.z = np.log(C) - self.log_C0, np.asarray(is_b, float)
        self.prior = prior or Before()
        self.means = np.array([self.prior.log_floor, 0, _LOG_COMPUTE_EXPONENT, 0, 0, 0])

    def spreads(self, width: Width) -> Array:
        """Prior standard deviations; 0 holds a parameter at 0."""
        exponent, floor = {"same": (0.0, 0.0), "slight": (0.015, 0.01), "wide": (0.045, 0.05)}[width]
        return np.array([self.prior.floor_spread, _FLAT, self.prior.exponent_spread, _FLAT, exponent, floor])

    def start(self, loss: Array) -> Array:
        """A first guess from the losses."""
        floor = min(float(np.exp(self.means[0])), 0.85 * float(loss.min()))
        rest = np.log(max(float(np.exp(np.log(loss).mean())) - floor, 0.05 * float(loss.min())))
        return np.array([np.log(floor), rest, _LOG_COMPUTE_EXPONENT, 0, 0, 0])

    def log_loss(self, theta: Array) -> tuple[Array, Array]:
        """Log losses (k, n) and their derivatives (k, n, n_params) for theta (k, n_params)."""
        e, a, lg, M, dg, dE = (theta[:, [i]] for i in range(6))
        x, z, gamma = self.x, self.z, np.exp(lg)
        floor = np.exp(e + z * dE)
        of_C = np.exp(np.clip(a - gamma * (x + z * M) - z * dg * x, -60, 60))
        f = floor + of_C
        e_, c_ = floor / f, of_C / f
        return np.log(f), np.stack([e_, c_, -gamma * (x + z * M) * c_, -gamma * z * c_, -z * x * c_, z * e_], -1)

    def _excesses(self, theta: Array, log_C: float) -> tuple[Array, Array, Array, Array, Array]:
        e, a, lg, M, dg, dE = np.moveaxis(theta, -1, 0)
        gamma, x = np.exp(lg), log_C - self.log_C0
        own = np.exp(np.clip(a - gamma * M - np.maximum(gamma + dg, _LEAST_EXPONENT) * x, -200, 200))
        return np.exp(e), np.exp(np.clip(a - gamma * x, -200, 200)), np.exp(e + dE), own, gamma

    def losses(self, theta: Array, log_C: float, path: Path) -> tuple[Array, Array]:
        """Losses of A and of B at one compute."""
        floor, of_a, own_floor, of_b, _ = self._excesses(theta, log_C)
        return floor + of_a, own_floor + of_b

    def log_multiplier(self, theta: Array, log_C: float, path: Path) -> Array:
        """Log of the compute that A needs for B's loss, over B's compute."""
        floor, of_a, own_floor, of_b, gamma = self._excesses(theta, log_C)
        wanted = np.maximum(own_floor + of_b - floor, _NEVER * floor)
        return np.asarray((np.log(of_a) - np.log(wanted)) / gamma, float)

    def distances(self) -> Array:
        """Squared distances between runs in logs, shape (n, n)."""
        # Along a rule of sizes, ln N and ln D each move half as much as ln C.
        return np.asarray((self.x[:, None] - self.x) ** 2 / 2, float)

"""The other search of optimum.py, which shares no code with the fit: only a law's formula, bounds and declarations.

Random starts over what each parameter could mean on the runs, least squares reweighted towards the objective for all
of them at once, slopes by central differences, and BFGS in whitened variables from the lowest few and from the truth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from optimum_tables import link_of, middles, unit_of
from scipy.optimize import minimize

Values = dict[str, Any]
STARTS, POLISHED = 96, 6
#: Random candidates for each start; runs on which starts are walked down at first; starts that go on on all runs.
DRAWN, FIRST_RUNS, GO_ON = 10, 128, 32
#: Relative gain of a step at which squares stand still; ends this many times as high as the lowest are not polished.
STANDSTILL, NEAR = 1e-9, 1.5
#: Half-width of Huber's band, the fit's default.
DELTA = 1e-3
#: Slope at which BFGS ends, where objective and curvature are about 1, and the gain that is worth another round.
GRADIENT = 1e-7


class Search:
    """One table; `delta` is infinite for least squares."""

    def __init__(self, law: Any, columns: Values, target: np.ndarray) -> None:
        self.law, self.target, self.y = law, target, link_of(law)(target)
        self.unit = unit_of(law, columns)
        self.columns = {key: value / self.unit[key] for key, value in columns.items()}
        self.names = list(law.parameters)
        self.log = np.array([p.log for p in law.parameters.values()])
        self.delta = {"huber": DELTA, "squared": np.inf}[law.objective]

    def part(self, rng: np.random.Generator) -> Search:
        """The same on some of the runs."""
        if self.y.size <= FIRST_RUNS:
            return self
        rows = rng.permutation(self.y.size)[:FIRST_RUNS]
        out = object.__new__(Search)
        out.__dict__ |= self.__dict__
        out.y, out.columns = self.y[rows], {key: value[rows] for key, value in self.columns.items()}
        return out

    def values(self, x: np.ndarray) -> Values:
        """Natural values (b, 1) of each parameter."""
        return {k: np.exp(x[:, [j]]) if self.log[j] else x[:, [j]] for j, k in enumerate(self.names)}

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """Residuals (b, n) on the scale of the target at rows of parameters (b, p), logarithms where declared so."""
        return link_of(self.law)(self.law.evaluate(self.columns, self.values(x))) - self.y

    def slopes(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals (b, n) and their slopes (b, p, n) by central differences."""
        out = []
        for j in range(x.shape[1]):
            size = 1e-6 * np.maximum(np.where(self.log[j], 1.0, 0.1), np.abs(x[:, j]))
            step = np.zeros_like(x)
            step[:, j] = size
            out.append((self.residuals(x + step) - self.residuals(x - step)) / (2 * size[:, None]))
        slopes = np.stack(out, axis=1)
        return self.residuals(x), np.where(np.isfinite(slopes), slopes, 0.0)

    def value(self, x: np.ndarray) -> np.ndarray:
        """Objective (b,)."""
        return summed(self.residuals(x), self.delta)

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Bounds in these units, wide where units change; whether the law's own are kept is looked at in the end."""
        lower, upper = (np.array([p.bounds[k] for p in self.law.parameters.values()], float) for k in (0, 1))
        inner = [np.where(self.log, np.log(np.maximum(side, 1e-300)), side) for side in (lower, upper)]
        return np.where(self.log & (lower == 0), np.log(1e-10), inner[0]), inner[1]

    def allowed(self, x: np.ndarray) -> bool:
        """Whether natural values lie within the law's bounds."""
        values = dict(zip(self.names, np.where(self.log, np.exp(x), x), strict=True))
        natural = self.law.rescale(values, {k: 1 / u for k, u in self.unit.items()}) if self.law.rescale else values
        pairs = ((natural[k], p.bounds) for k, p in self.law.parameters.items())
        return all(low - 1e-9 * abs(low) <= v <= high * (1 + 1e-9 * np.sign(high)) for v, (low, high) in pairs)

    def anything(self, rng: np.random.Generator, m: int) -> Values:
        """Random values (m,) of each parameter: far beyond the values that the law starts from, within its bounds."""
        found: Values = {}
        for name, p in self.law.parameters.items():
            low, high = (float(end(p.starts)) for end in (min, max))
            if p.log:
                low, high = np.log(max(low, 1e-12)) - 3, np.log(max(high, 1e-12)) + 3
                found[name] = np.exp(rng.uniform(low, high, m))
            elif p.bounds[0] >= 0 and low > 0:  # an exponent, or alike
                found[name] = np.exp(rng.uniform(np.log(low / 4), np.log(4 * high), m))
            else:
                wide = 1.0 * (high - low)
                found[name] = rng.uniform(low - wide, high + wide, m)
            found[name] = np.clip(found[name], *p.bounds)
        return found

    def random(self, rng: np.random.Generator, m: int) -> np.ndarray:
        """Random starts (m, p) over everything that the law could mean on these runs."""
        found, name = self.anything(rng, m), self.law.name.split(":")[0]
        middle = float(np.median(np.abs(self.target)))
        share = [middle * rng.uniform(0.03, 1.0, m) for _ in range(2)]
        if name == "kaplan":
            found |= dict(N_c=share[0] ** (1 / found["alpha_N"]), D_c=share[1] ** (1 / found["alpha_D"]))
        elif name == "coupled":
            g = found["g"] = 10 ** rng.uniform(-1.2, 0.5, m)
            found |= dict(A=share[0] ** (1 / g), B=share[1] ** (1 / g))
        elif name == "broken_power_law":
            log_x = np.log(next(iter(self.columns.values())))
            found |= dict(c0=10 ** rng.uniform(-1.5, 0.2, m), f1=10 ** rng.uniform(-1.3, 0.4, m))
            found["c1"] = rng.uniform(-0.7, 1.0, m) - found["c0"]
            found["d1"] = np.exp(rng.uniform(log_x.min() - 0.5, log_x.max() + 0.5, m))
        # Coefficients: a summand is anything from a small share of the target to all of it.
        basis = middles(self.law, self.columns, {key: value[:, None] for key, value in found.items()})
        for key, size in basis.items():
            found[key] = 10 ** rng.uniform(-2, 0, m) * middle / np.maximum(size, 1e-300)
        table = np.stack([found[key] for key in self.names], axis=1)
        return np.nan_to_num(np.where(self.log, np.log(np.maximum(table, 1e-290)), table))

    def starts(self, rng: np.random.Generator) -> np.ndarray:
        """Random starts (96, p): half of them the lowest of many, half of them any."""
        low, high = self.box()
        every = np.clip(self.random(rng, DRAWN * STARTS), low, high)
        order = np.argsort(summed(self.residuals(every), 1.0))
        half = STARTS // 2
        return every[np.r_[order[:half], rng.choice(order[half:], half, replace=False)]]

    def squares(self, x: np.ndarray, steps: int, delta: float) -> np.ndarray:
        """Levenberg and Marquardt's steps of reweighted least squares, every row at once, until none gains any more."""
        low, high = self.box()
        ends = np.clip(x, low, high)
        rows, x, damping = np.arange(len(x)), ends, np.full(len(x), 1e-2)
        r, J = self.slopes(x)
        f = summed(r, delta)
        for _ in range(steps):
            r = np.where(np.isfinite(r), r, 0.0)
            w = 1 / np.maximum(np.abs(r) / delta, 1.0)
            M, g = (J * w[:, None]) @ np.swapaxes(J, 1, 2), (J @ (w * r)[:, :, None])[:, :, 0]
            held = ((x <= low) & (g > 0)) | ((x >= high) & (g < 0))
            free = ~held
            M = np.nan_to_num(M * free[:, :, None] * free[:, None, :], posinf=1e200, neginf=-1e200)
            g = np.nan_to_num(np.where(held, 0.0, g), posinf=1e200, neginf=-1e200)
            at = np.arange(x.shape[1])
            size = np.sqrt(np.maximum(M[:, at, at], 1e-200))
            M = M / size[:, :, None] / size[:, None, :]
            M[:, at, at] = 1 + damping[:, None] + 1e-13
            step = np.clip(-np.linalg.solve(M, (g / size)[:, :, None])[:, :, 0] / size, -3, 3)
            new = np.clip(x + np.where(held, 0.0, step), low, high)
            r_new, J_new = self.slopes(new)
            f_new = summed(r_new, delta)
            better = f_new < f
            done = (better & (f - f_new <= STANDSTILL * f)) | (damping >= 1e8) | ~np.isfinite(f)
            x, f = np.where(better[:, None], new, x), np.where(better, f_new, f)
            r, J = np.where(better[:, None], r_new, r), np.where(better[:, None, None], J_new, J)
            damping = np.clip(np.where(better, damping / 4, damping * 5), 1e-10, 1e8)
            ends[rows] = x
            rows, x, f, r, J, damping = (part[~done] for part in (rows, x, f, r, J, damping))
            if not rows.size:
                break
        return ends

    def polish(self, x: np.ndarray) -> np.ndarray:
        """BFGS in variables in which the runs' information is about the unit matrix; what is at a bound stays."""
        low, high = self.box()
        for _ in range(3):
            r, J = (part[0] for part in self.slopes(x[None]))
            free, scale = (x > low) & (x < high), max(float(self.value(x[None])[0]), 1e-300)
            M = (J[free] / np.maximum(np.abs(r) / self.delta, 1.0)) @ J[free].T / scale
            values, vectors = np.linalg.eigh(np.nan_to_num(M))
            basis = vectors / np.sqrt(np.maximum(values, 1e-12 * values[-1]) + 1e-300)
            start = x

            def point(z: np.ndarray, start=start, free=free, basis=basis) -> np.ndarray:
                out = start.copy()
                out[free] += basis @ z
                return np.clip(out, low, high)

            def height(z: np.ndarray, free=free, basis=basis, point=point, scale=scale) -> tuple[float, np.ndarray]:
                r, J = (part[0] for part in self.slopes(point(z)[None]))
                slope = np.nan_to_num(basis.T @ (J[free] @ np.clip(r, -self.delta, self.delta)) / scale)
                return float(min(summed(r[None], self.delta)[0] / scale, 1e100)), slope

            end = minimize(height, np.zeros(int(free.sum())), jac=True, method="BFGS", options={"gtol": GRADIENT})
            moved = point(end.x)
            if not self.value(moved[None])[0] < self.value(x[None])[0] * (1 - GRADIENT):
                break
            x = moved
        return x

    def run(self, rng: np.random.Generator, truth: Values) -> float:
        """Lowest objective within the law's bounds."""
        at = np.array([truth[name] for name in self.names], float)
        at = np.where(self.log, np.log(np.maximum(at, 1e-300)), at)[None]
        with np.errstate(all="ignore"):
            few = self.part(rng)
            x = few.squares(np.concatenate([few.starts(rng), at]), 25, 1.0)
            x = np.concatenate([x[np.argsort(few.value(x))[:GO_ON]], at])
            x = self.squares(x, 40, self.delta)
            value, picked = self.value(x), []
            for k in np.argsort(value):
                if value[k] < NEAR * value.min() + 1e-12 and all(
                    abs(value[k] - value[j]) > 1e-3 * value[j] for j in picked
                ):
                    picked.append(int(k))
                if len(picked) == POLISHED:
                    break
            ends = [self.polish(x[k]) for k in picked]
            return min((float(self.value(end[None])[0]) for end in ends if self.allowed(end)), default=float("inf"))


def summed(residuals: np.ndarray, delta: float) -> np.ndarray:
    """Huber's penalty summed over the runs (b,); half squares where `delta` is infinite."""
    size = np.abs(residuals)
    inner = np.minimum(size, delta)
    return np.nan_to_num((inner * (size - inner / 2)).sum(axis=1), nan=np.inf, posinf=np.inf)

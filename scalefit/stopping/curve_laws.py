r"""Laws of the loss along one run, given its learning-rate schedule.

All of them are linear in all but a few shape parameters, so a fit is a non-negative least-squares problem
on a small grid of shapes (variable projection, Golub and Pereyra 1973): deterministic, without starts.
Progress is the area under the schedule, :math:`S_1=\int\eta\,dt`, in steps at the peak rate; rates are relative
to the peak throughout.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from scalefit._arguments import check_numbers, check_quantity
from scalefit._numeric import solve_nonnegative
from scalefit._text import known
from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError, DataError, arg
from scalefit.laws._base import Parameter
from scalefit.schedules import Schedule
from scalefit.stopping.annealing import anneal_response, tissue_momentum

MAX_POINTS = 150  # a fit thins longer curves to this many points, evenly in the logarithm of the step


class CurveLaw:
    """A law of the loss along a run; subclasses define the columns of its linear part.

    Attributes
    ----------
    name, formula : str
        Its name, and its formula as plain text.
    grid : mapping
        Shape parameter to the values tried.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    parameters: ClassVar[dict[str, Parameter]]
    grid: ClassVar[Mapping[str, tuple[float, ...]]]
    tail: ClassVar[float] = 0.0  # the part of the curve, from its start, that a fit leaves out

    def __init_subclass__(cls) -> None:
        cls.parameters = {k: v for k, v in vars(cls).items() if isinstance(v, Parameter)}

    @staticmethod
    def columns(schedule: Schedule, steps: Array, **shape: float) -> Array:
        """Columns that the linear parameters multiply, in their order, shape (n, p)."""
        raise NotImplementedError

    @classmethod
    def linear(cls) -> list[str]:
        """Names of the linear parameters."""
        return [name for name, parameter in cls.parameters.items() if parameter.linear]

    @classmethod
    def loss(cls, schedule: Schedule, steps: ArrayLike, **params: float) -> Array:
        """Loss at `steps` [nat/token]."""
        t = np.atleast_1d(np.asarray(steps, dtype=float))
        shape = {name: params[name] for name in cls.grid}
        return np.asarray(cls.columns(schedule, t, **shape) @ np.array([params[name] for name in cls.linear()]))


_L0 = Parameter("loss that an endless run approaches", (0.0, 20.0), (2.0,), unit="nat/token", linear=True)
_A = Parameter("loss still to gain, per unit of progress^-alpha", (0.0, 1e6), (1.0,), unit="nat/token", linear=True)
_ALPHA = Parameter("exponent of the progress", (0.01, 3.0), (0.5,))
_ALPHAS = tuple(np.geomspace(0.1, 1.6, 24).round(4).tolist())


def _progress(schedule: Schedule, steps: Array, warmup: str) -> Array:
    area = schedule.area(steps, "peak" if warmup == "peak" else "actual")
    return np.maximum(area, 1e-3)


class PowerCurve(CurveLaw):
    r"""Power law in the step, blind to the schedule: :math:`L(t)=L_0+A\,t^{-\alpha}`."""

    name, formula = "power", "L(t) = L0 + A t^-alpha"
    L0, A, alpha = _L0, _A, _ALPHA
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {"alpha": _ALPHAS}

    @staticmethod
    def columns(schedule: Schedule, steps: Array, **shape: float) -> Array:
        """Columns for L0 and A."""
        return np.stack([np.ones_like(steps), np.maximum(steps, 1.0) ** -shape["alpha"]], axis=1)


class TailPowerCurve(PowerCurve):
    """The same power law, fitted only to the last 70 % of the curve."""

    name = "tail_power"
    L0, A, alpha = _L0, _A, _ALPHA
    tail = 0.3


class TissueCurve(CurveLaw):
    r"""Law with learning-rate annealing of Tissue et al. [1]_: :math:`L=L_0+A\,S_1^{-\alpha}-C\,S_2`.

    Here C is in nats for an anneal from the peak to zero, far from the end: S2 is divided by the
    :math:`1/(1-\lambda)` steps of its memory. The warm-up counts at the peak rate in S1, as in the paper.

    References
    ----------
    .. [1] Tissue et al. (2024), arXiv:2408.11029, eq. 1; lambda = 0.999.
    """

    name, formula = "tissue", "L = L0 + A S1^-alpha - C S2 (1 - lambda)"
    L0, A, alpha = _L0, _A, _ALPHA
    C = Parameter("gain of annealing from the peak to zero", (0.0, 5.0), (0.2,), unit="nat/token", linear=True)
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {"alpha": _ALPHAS}

    @staticmethod
    def columns(schedule: Schedule, steps: Array, **shape: float) -> Array:
        """Columns for L0, A and C."""
        progress = _progress(schedule, steps, "peak") ** -shape["alpha"]
        return np.stack([np.ones_like(steps), progress, -tissue_momentum(schedule, steps)], axis=1)


class MultiPowerCurve(CurveLaw):
    r"""Multi-power law of Luo et al. [1]_: :math:`L=L_0+A\,S_1^{-\alpha}-B\,G(t)`, G as in `anneal_response`.

    Here B is the gain [nat/token] of annealing from the peak to zero with endless steps left.

    References
    ----------
    .. [1] Luo et al. (2025), arXiv:2503.12811, eq. 1.
    """

    name, formula = "multi_power", "L = L0 + A S1^-alpha - B sum_k d(eta_k) [1 - (1 + c eta_k^-gamma S_k)^-beta]"
    L0, A, alpha = _L0, _A, _ALPHA
    B = Parameter("gain of annealing from the peak to zero", (0.0, 5.0), (0.2,), unit="nat/token", linear=True)
    rate = Parameter("rate of the response", (1e-4, 10.0), (0.1,), unit="1/step")
    beta = Parameter("exponent of the response", (0.05, 2.0), (0.6,))
    gamma = Parameter("how much faster small rates respond", (0.0, 2.0), (0.3,))
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "alpha": _ALPHAS[::2],
        "rate": (0.01, 0.03, 0.1, 0.3),
        "beta": (0.3, 0.6),
        "gamma": (0.0, 0.3, 0.6),
    }

    @staticmethod
    def columns(schedule: Schedule, steps: Array, **shape: float) -> Array:
        """Columns for L0, A and B."""
        progress = _progress(schedule, steps, "actual") ** -shape["alpha"]
        response = anneal_response(schedule, steps, rate=shape["rate"], exponent=shape["beta"], gamma=shape["gamma"])
        return np.stack([np.ones_like(steps), progress, -response[0]], axis=1)


class SaturatingCurve(CurveLaw):
    r"""The forecast's law: a power of the area, and an anneal whose noise saturates with the rate.

    .. math:: L = L_0 + A\,S_1^{-\alpha} - C\,G_\rho(t)

    with G as in `anneal_response` at fixed rate, exponent and gamma. The warm-up counts at its actual rate.
    """

    name, formula = "saturating", "L = L0 + A S1^-alpha - C G_rho(t)"
    L0, A, alpha = _L0, _A, _ALPHA
    C = Parameter("gain of annealing from the peak to zero", (0.0, 5.0), (0.2,), unit="nat/token", linear=True)
    rho = Parameter("saturation of the noise with the rate", (0.0, 1e3), (0.1, 1.5, 15.0))
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {"alpha": _ALPHAS, "rho": (0.1, 0.5, 1.5, 5.0, 15.0)}

    @staticmethod
    def columns(schedule: Schedule, steps: Array, **shape: float) -> Array:
        """Columns for L0, A and C."""
        progress = _progress(schedule, steps, "actual") ** -shape["alpha"]
        response = anneal_response(schedule, steps, saturation=shape["rho"])[0]
        return np.stack([np.ones_like(steps), progress, -response], axis=1)


CURVE_LAWS: dict[str, type[CurveLaw]] = {
    law.name: law for law in (PowerCurve, TailPowerCurve, TissueCurve, MultiPowerCurve, SaturatingCurve)
}


@dataclass(frozen=True, slots=True)
class CurveFit:
    """A law fitted to one curve: `params`, `rmse` [nat/token], and ``predict(steps)``."""

    law: type[CurveLaw]
    schedule: Schedule
    params: dict[str, float]
    rmse: float
    n_points: int

    def predict(self, steps: ArrayLike) -> Array:
        """Loss at `steps` [nat/token]."""
        return self.law.loss(self.schedule, steps, **self.params)


def fit_curve(
    law: str | type[CurveLaw],
    schedule: Schedule,
    steps: ArrayLike,
    loss: ArrayLike,
    *,
    prior: Mapping[str, tuple[float, float]] | None = None,
    noise: float = 0.01,
) -> CurveFit:
    """Fit a curve law to (part of) a run.

    Parameters
    ----------
    law : str or type
        One of `CURVE_LAWS`.
    schedule : Schedule
        The learning-rate schedule.
    steps, loss : array_like, shape (n,)
        The curve [steps] and [nat/token], in any order; points before the end of the warm-up, and losses that are not
        finite, are left out.
    prior : mapping, optional
        Linear parameter to (mean, standard deviation): Gaussian priors, entered as ridge rows.
    noise : float
        Standard deviation of one point [nat/token]; it decides the weight of a prior relative to the data.

    Returns
    -------
    CurveFit

    Raises
    ------
    DataError
        Fewer usable points than linear parameters.
    ArgumentError
        An unknown law, a prior for a parameter that is not linear, or different numbers of steps and losses.

    Examples
    --------
    >>> schedule = Schedule.cosine(2000, warmup=100)
    >>> steps = np.arange(200, 2001, 100)
    >>> curve = TissueCurve.loss(schedule, steps, L0=3.0, A=10.0, alpha=0.5, C=0.2)
    >>> fit = fit_curve("tissue", schedule, steps, curve)
    >>> round(fit.params["C"], 2), fit.rmse < 1e-3
    (0.2, True)
    """
    if isinstance(law, str):
        if law not in CURVE_LAWS:
            raise ArgumentError(f"There is no curve law {law!r}", "nothing was fitted", known(law, CURVE_LAWS))
        law = CURVE_LAWS[law]
    elif not (isinstance(law, type) and issubclass(law, CurveLaw)):
        raise ArgumentError(f"{arg('law', law)} is not a curve law", "nothing was fitted", known(law, CURVE_LAWS))
    noise = check_quantity("noise", noise)
    t, y = check_numbers("steps", steps), check_numbers("loss", loss)
    if t.shape != y.shape:
        raise ArgumentError(f"{t.size} steps and {y.size} losses were given", "nothing was fitted", "Give one for each")
    keep = np.isfinite(y) & (t >= schedule.warmup_end) & (t > 0)
    t, y = t[keep], y[keep]
    order = np.argsort(t, kind="stable")
    t, y = t[order], y[order]
    late = t >= law.tail * t[-1] if len(t) else keep
    t, y = t[late], y[late]
    names = law.linear()
    if len(t) < len(names):
        raise DataError(
            f"{law.name} has {len(names)} linear parameters but only {len(t)} points lie after the warm-up",
            "nothing was fitted",
            "Wait for more evaluations",
        )
    if len(t) > MAX_POINTS:
        pick = np.unique(np.searchsorted(t, np.geomspace(t[0], t[-1], MAX_POINTS)).clip(0, len(t) - 1))
        t, y = t[pick], y[pick]
    shapes = [dict(zip(law.grid, values, strict=True)) for values in itertools.product(*law.grid.values())]
    X = np.stack([law.columns(schedule, t, **shape) for shape in shapes])  # (g, n, p)
    ridge, centre = np.full(len(names), 1e-12), np.zeros(len(names))
    for name, (mean, sd) in (prior or {}).items():
        if name not in names or not sd > 0:
            raise ArgumentError(
                f"{arg('prior', {name: (mean, sd)})} does not fit {law.name}",
                "nothing was fitted",
                f"Give a mean and a positive standard deviation for {', '.join(names)}",
            )
        ridge[names.index(name)], centre[names.index(name)] = (noise / sd) ** 2, mean
    scale = np.sqrt(np.mean(X**2, axis=1))  # columns differ by orders of magnitude
    scale = np.where(scale > 1e-12, scale, 1.0)  # a column of nothing stays nothing
    Z = X / scale[:, None]
    gram = np.swapaxes(Z, 1, 2) @ Z + (ridge / scale**2)[:, :, None] * np.eye(len(names))
    gram += 1e-12 * len(t) * np.eye(len(names))
    moment = np.swapaxes(Z, 1, 2) @ y + ridge * centre / scale
    b = solve_nonnegative(gram, moment, free=0) / scale
    residual = y - np.einsum("gnp,gp->gn", X, b)
    cost = np.sum(residual**2, axis=1) + np.sum(ridge * (b - centre) ** 2, axis=1)
    best = int(np.argmax(cost <= cost.min() * (1 + 1e-9) + 1e-15))  # of equals the first, on every processor
    params = dict(zip(names, b[best].tolist(), strict=True)) | shapes[best]
    return CurveFit(law, schedule, params, float(np.sqrt(np.mean(residual[best] ** 2))), len(t))

"""The smoothly broken power law of Caballero et al. (2022)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.laws._base import Law, Parameter


class BrokenPowerLaw(Law):
    r"""Power law whose slope changes once, smoothly [1]_.

    .. math:: L(x) = E + A\,x^{-c_0}\left(1 + (x/d_1)^{1/f_1}\right)^{-c_1 f_1}

    The slope is -c0 far below the break d1 and -(c0 + c1) far above; f1 is how many e-folds the turn takes. ``x`` is
    compute C [FLOP] unless asked otherwise (``broken_power_law:N``, ``broken_power_law:D``); loss in [nat/token].

    References
    ----------
    .. [1] Caballero et al. (2022), Broken Neural Scaling Laws, arXiv:2210.14891, eq. 1 with one break.

    Examples
    --------
    >>> from scalefit.laws.broken_power_law import BrokenPowerLaw
    >>> BrokenPowerLaw.loss(1e6, 1.0, 10.0, 0.1, 0.2, 1e4, 0.5).round(6).item()
    1.99999
    """

    inputs = ("C",)
    choices = ("C", "N", "D")
    formula = "L(x) = E + A x^-c0 (1 + (x/d1)^(1/f1))^(-c1 f1)"
    direction = {"C": 0, "N": 0, "D": 0}

    E = Parameter("irreducible loss", (0.0, 20.0), (0.5, 1.0, 3.0), unit="nat/token", log=True, linear=True, own=True)
    A = Parameter("coefficient", (0.0, 1e40), (10.0, 400.0, 1e4), log=True, linear=True, own=True)
    c0 = Parameter("slope before the break", (0.0, 3.0), (0.05, 0.15, 0.4))
    c1 = Parameter("change of slope at the break", (-3.0, 3.0), (-0.1, 0.2, 0.4))
    d1 = Parameter("position of the break", (1e-30, 1e60), (1e7, 1e9, 1e11), unit="input", log=True)
    f1 = Parameter("width of the break", (0.05, 5.0), (0.2, 0.5, 1.5), log=True)

    bibtex = (
        "@article{caballero2022broken, title={Broken Neural Scaling Laws}, "
        "author={Caballero, Ethan and others}, journal={arXiv:2210.14891}, year={2022}}"
    )

    @staticmethod
    def loss(x: Any, E: Any, A: Any, c0: Any, c1: Any, d1: Any, f1: Any) -> Any:
        """Loss [nat/token]."""
        log_x = np.log(x)
        return E + A * np.exp(-c0 * log_x - c1 * f1 * _softplus((log_x - np.log(d1)) / f1))

    @staticmethod
    def gradient(x: Any, E: Any, A: Any, c0: Any, c1: Any, d1: Any, f1: Any) -> list[Any]:
        """Derivatives in order of the parameters."""
        log_x = np.log(x)
        z = (log_x - np.log(d1)) / f1
        soft = _softplus(z)
        share = np.exp(z - soft)
        power = np.exp(-c0 * log_x - c1 * f1 * soft)
        term = A * power
        return [
            np.ones_like(term),
            power,
            -term * log_x,
            -term * f1 * soft,
            term * c1 * share / d1,
            -term * c1 * (soft - z * share),
        ]

    @staticmethod
    def rescale(params: dict[str, Any], units: dict[str, float]) -> dict[str, Any]:
        """Parameters for the input measured in `units`."""
        (unit,) = units.values()
        return {**params, "A": params["A"] * unit ** -params["c0"], "d1": params["d1"] / unit}

    #: Breaks lie side by side in one table, each with a valley of its own: more of them are walked down.
    n_starts = 32
    #: On few runs a sharp break can stand in any gap between two of them.
    n_starts_on_few = 128

    @staticmethod
    def starts(columns: dict[str, Array], loss: Array) -> Array:
        """Breaks scanned over the data, between any two slopes; linear in E and A once those are given."""
        (x,) = columns.values()
        log_x = np.log(x)
        c0, c1, share, f1 = _NODES.T[:, :, None]
        log_d1 = np.quantile(log_x, share)
        log_power = -c0 * log_x - c1 * f1 * _softplus((log_x - log_d1) / f1)
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


def _softplus(z: Any) -> Any:
    """ln(1 + e^z), real or complex, never overflowing."""
    above = np.real(z) > 0
    return np.where(above, z, 0.0) + np.log(1.0 + np.exp(np.where(above, -z, z)))

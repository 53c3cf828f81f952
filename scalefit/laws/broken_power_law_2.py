"""The smoothly broken power law of Caballero et al. (2022) with two breaks."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Law, Parameter, Usual
from scalefit.laws._forms import softplus
from scalefit.laws._starts import two_break_starts


class BrokenPowerLaw2(Law):
    r"""Power law whose slope changes twice, smoothly: a plateau between two falls, or a rise on the way [1]_.

    .. math:: L(x) = E + A\,x^{-c_0}\prod_{i=1}^{2}\left(1 + (x/d_i)^{1/f_i}\right)^{-c_i f_i}

    The slope is -c0 far below both breaks, -(c0 + c1) between them and -(c0 + c1 + c2) far above, where d1 < d2. ``x``
    is compute C [FLOP] unless asked otherwise (``broken_power_law_2:N``, ``broken_power_law_2:D``); loss in
    [nat/token]. It has nine parameters: each of the three parts needs runs of its own, and a third break would need a
    table that nobody has published, so the product stops at two.

    References
    ----------
    .. [1] Caballero et al. (2022), Broken Neural Scaling Laws, arXiv:2210.14891, eq. 1 with two breaks.

    Examples
    --------
    >>> from scalefit.laws.broken_power_law_2 import BrokenPowerLaw2
    >>> BrokenPowerLaw2.loss(1e6, 1.0, 10.0, 0.1, 0.2, 1e4, 0.5, -0.2, 1e8, 0.5).round(6).item()
    2.0
    """

    name = "broken_power_law_2"
    inputs = ("C",)
    exponents = {"C": ("c0",)}
    choices = ("C", "N", "D")
    formula = "L(x) = E + A x^-c0 (1 + (x/d1)^(1/f1))^(-c1 f1) (1 + (x/d2)^(1/f2))^(-c2 f2)"
    direction = {"C": 0, "N": 0, "D": 0}

    E = Usual.E
    A = Parameter("coefficient", (0.0, 1e40), (10.0, 400.0, 1e4), log=True, linear=True, own=True)
    c0 = Parameter("slope before the breaks", (0.0, 3.0), (0.05, 0.15, 0.4))
    c1 = Parameter("change of slope at the first break", (-3.0, 3.0), (-0.1, 0.2, 0.4))
    d1 = Parameter("position of the first break", (1e-30, 1e60), (1e6, 1e8, 1e10), unit="input", log=True)
    f1 = Parameter("width of the first break", (0.05, 5.0), (0.2, 0.5, 1.5), log=True)
    c2 = Parameter("change of slope at the second break", (-3.0, 3.0), (-0.1, 0.2, 0.4))
    d2 = Parameter("position of the second break", (1e-30, 1e60), (1e8, 1e10, 1e12), unit="input", log=True)
    f2 = Parameter("width of the second break", (0.05, 5.0), (0.2, 0.5, 1.5), log=True)

    bibtex = (
        "@article{caballero2022broken, title={Broken Neural Scaling Laws}, "
        "author={Caballero, Ethan and others}, journal={arXiv:2210.14891}, year={2022}}"
    )

    @staticmethod
    def loss(x: Any, E: Any, A: Any, c0: Any, c1: Any, d1: Any, f1: Any, c2: Any, d2: Any, f2: Any) -> Any:
        """Loss [nat/token]."""
        log_x = np.log(x)
        turns = [c * f * softplus((log_x - np.log(d)) / f) for c, d, f in ((c1, d1, f1), (c2, d2, f2))]
        return E + A * np.exp(-c0 * log_x - sum(turns))

    @staticmethod
    def gradient(x: Any, E: Any, A: Any, c0: Any, c1: Any, d1: Any, f1: Any, c2: Any, d2: Any, f2: Any) -> list[Any]:
        """Derivatives in order of the parameters."""
        log_x = np.log(x)
        z = [(log_x - np.log(d)) / f for d, f in ((d1, f1), (d2, f2))]
        soft = [softplus(part) for part in z]
        power = np.exp(-c0 * log_x - c1 * f1 * soft[0] - c2 * f2 * soft[1])
        out, term = [np.ones_like(power), power, -A * power * log_x], A * power
        for c, d, f, at, high in ((c1, d1, f1, z[0], soft[0]), (c2, d2, f2, z[1], soft[1])):
            share = np.exp(at - high)
            out += [-term * f * high, term * c * share / d, -term * c * (high - at * share)]
        return out

    @staticmethod
    def rescale(params: dict[str, Any], units: dict[str, float]) -> dict[str, Any]:
        """Parameters for the input measured in `units`."""
        (unit,) = units.values()
        at = {key: params[key] / unit for key in ("d1", "d2")}
        return {**params, "A": params["A"] * unit ** -params["c0"], **at}

    #: Breaks lie side by side in one table, each pair with a valley of its own.
    n_starts = 48
    n_starts_on_few = 128
    starts = staticmethod(two_break_starts)

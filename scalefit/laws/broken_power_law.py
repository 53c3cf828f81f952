"""The smoothly broken power law of Caballero et al. (2022)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Law, Parameter
from scalefit.laws._forms import softplus
from scalefit.laws._starts import break_starts


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
    exponents = {"C": ("c0",)}
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
        return E + A * np.exp(-c0 * log_x - c1 * f1 * softplus((log_x - np.log(d1)) / f1))

    @staticmethod
    def gradient(x: Any, E: Any, A: Any, c0: Any, c1: Any, d1: Any, f1: Any) -> list[Any]:
        """Derivatives in order of the parameters."""
        log_x = np.log(x)
        z = (log_x - np.log(d1)) / f1
        soft = softplus(z)
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
    starts = staticmethod(break_starts)

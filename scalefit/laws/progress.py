"""The law of algorithmic progress of Ho et al. (2024)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Law, Parameter, Usual
from scalefit.laws._declarations import Input


class Progress(Law):
    r"""Chinchilla's law in sizes and tokens that are worth more each year [1]_.

    .. math:: L = E + A\,(N e^{a t})^{-\alpha} + B\,(D e^{b t})^{-\beta}

    ``N`` [parameters], ``D`` tokens [tokens], t is ``year``, counted from any year, so that 0 and negative values
    make sense; loss in [nat/token]. Half of the compute gives the same loss after 12 ln 2/(a + b) months. Of the
    paper's constants, those of N and D without time are in units of its own table, and none are shipped.

    References
    ----------
    .. [1] Ho et al. (2024), Algorithmic progress in language models, arXiv:2403.05812.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.laws.get("progress")
    >>> round(float(law.loss(1e9, 2e10, 0.0, 1.7, 400.0, 0.34, 410.0, 0.28, 0.1, 0.2)), 3)
    2.585
    >>> a, b = 0.003938 / 0.067982, 0.035620 / 0.039587  # per year, from the output of the authors' notebook
    >>> round(float(12 * np.log(2) / (a + b)), 2)  # months; the paper prints 8.4
    8.68
    """

    name = "progress"
    inputs = ("N", "D", "year")
    formula = "L(N, D, t) = E + A (N e^(a t))^-alpha + B (D e^(b t))^-beta"
    direction = {"year": 0}
    year = Input(
        "years since any date", ("year", "t"), "year", range=(-3000, 3000), typical=(-4, -2, 0, 2, 4), zero=True
    )

    E = Usual.E
    A = Usual.A
    alpha = Usual.alpha
    B = Usual.B
    beta = Usual.beta
    a = Parameter("growth of the worth of parameters per year", (-5.0, 5.0), (0.0, 0.1, 0.5), unit="1/year")
    b = Parameter("growth of the worth of tokens per year", (-5.0, 5.0), (0.0, 0.2, 0.8), unit="1/year")

    bibtex = (
        "@article{ho2024algorithmic, title={Algorithmic progress in language models}, author={Ho, Anson "
        "and others}, journal={arXiv:2403.05812}, year={2024}}"
    )

    @staticmethod
    def loss(N: Any, D: Any, year: Any, E: Any, A: Any, alpha: Any, B: Any, beta: Any, a: Any, b: Any) -> Any:
        """Loss [nat/token]."""
        return E + A * np.exp(-alpha * (np.log(N) + a * year)) + B * np.exp(-beta * (np.log(D) + b * year))

"""The law of training in low precision of Kumar et al. (2024), for the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Constants, Law, Parameter, Usual
from scalefit.laws._declarations import Golden, Input


class Precision(Law):
    r"""Chinchilla's law with the share of the parameters that a number of bits keeps [1]_.

    .. math:: L = E + A\,\left[N (1 - e^{-P/\gamma})\right]^{-\alpha} + B\,D^{-\beta}

    ``N`` [parameters], ``D`` tokens [tokens], P is ``weight_bits`` [bits]; loss in [nat/token]. The paper's fit
    shifts P by a constant that its main text leaves out; this is the form of the text.

    References
    ----------
    .. [1] Kumar et al. (2024), Scaling Laws for Precision, arXiv:2411.04330, eqs. 3 and 4.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("precision").predict(N=1e9, D=2e10, weight_bits=4), 4)
    3.0694
    """

    name = "precision"
    inputs = ("N", "D", "weight_bits")
    exponents = {"N": ("alpha",), "D": ("beta",)}
    formula = "L(N, D, P) = E + A (N (1 - e^(-P/gamma)))^-alpha + B D^-beta"
    weight_bits = Input(
        "bits per weight in training",
        ("weight_bits", "w_bits", "bits"),
        "bits",
        range=(1, 64),
        typical=(3, 4, 6, 8, 16),
        optional=16.0,
    )

    E = Usual.E
    A = Usual.A
    alpha = Usual.alpha
    B = Usual.B
    beta = Usual.beta
    gamma = Parameter(
        "bits at which a share 1/e of the parameters is lost", (0.05, 50.0), (1.0, 2.7, 6.0), unit="bits", log=True
    )

    published = (
        Constants(
            "kumar2024",
            dict(E=2.7648, A=4.299e3, alpha=0.4965, B=1.806e4, beta=0.4965, gamma=2.6745),
            source="Kumar et al. (2024), arXiv:2411.04330, appendix, table 2",
            params="total",
            evidence="paper",
            checked="no: its best precision of 7 to 8 bits does not follow from its table 2, which gives 5.1",
            corpus="Dolma 1.7",
            N=(3e7, 2.2e8),
            D=(1.5e9, 2.6e10),
            ranges={"weight_bits": (3, 16)},
            golden=(
                Golden(dict(N=1e9, D=2e10, weight_bits=3), 3.0813238, 1e-7),
                Golden(dict(N=1e9, D=2e10, weight_bits=4), 3.0693566, 1e-7),
                Golden(dict(N=1e9, D=2e10, weight_bits=16), 3.049914, 1e-7),
            ),
        ),
    )
    bibtex = (
        "@article{kumar2024scaling, title={Scaling Laws for Precision}, author={Kumar, Tanishq and "
        "others}, journal={arXiv:2411.04330}, year={2024}}"
    )

    @staticmethod
    def loss(N: Any, D: Any, weight_bits: Any, E: Any, A: Any, alpha: Any, B: Any, beta: Any, gamma: Any) -> Any:
        """Loss [nat/token]."""
        return E + A * (N * (1.0 - np.exp(-weight_bits / gamma))) ** -alpha + B * D**-beta

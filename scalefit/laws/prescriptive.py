"""The law of repeated data of Lovelace et al. (2026), in which too many repeats hurt."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Constants, Law, Parameter, Usual
from scalefit.laws._declarations import Golden


class Prescriptive(Law):
    r"""Chinchilla's law with a penalty on repeats of data that grows with the size over the distinct tokens [1]_.

    .. math:: L = E + A\,N^{-\alpha} + B\,D^{-\beta} + P\,R^{\delta}\,(N/U)^{\kappa}, \quad R = D/U - 1

    ``N`` [parameters], ``D`` tokens seen and ``unique_tokens`` U [tokens]; loss in [nat/token]. Where it is fitted
    to many epochs, loss rises again with D.

    References
    ----------
    .. [1] Lovelace et al. (2026), arXiv:2605.01640: the form; its constants were not found.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("prescriptive").predict(N=1e9, D=2e10, unique_tokens=1e9), 4)
    3.0151
    """

    name = "prescriptive"
    inputs = ("N", "D", "unique_tokens")
    exponents = {"N": ("alpha",), "D": ("beta",), "unique_tokens": ("delta", "kappa")}
    formula = "L(N, D, U) = E + A N^-alpha + B D^-beta + P (D/U - 1)^delta (N/U)^kappa"
    direction = {"N": 0, "D": 0}

    E = Usual.E
    A = Usual.A
    alpha = Usual.alpha
    B = Usual.B
    beta = Usual.beta
    P = Parameter(
        "penalty on repeats", (0.0, 1e20), (1e-3, 0.05, 1.0), unit="nat/token", log=True, linear=True, own=True
    )
    delta = Parameter("exponent of repeats", (0.0, 3.0), (0.2, 0.5, 1.0))
    kappa = Parameter("exponent of parameters per distinct token", (0.0, 3.0), (0.3, 0.8, 1.2))

    published = (
        Constants(
            "ours_datablations",
            dict(
                E=2.10453,
                A=691.915,
                alpha=0.362369,
                B=19846.2,
                beta=0.462218,
                P=0.0483969,
                delta=0.460179,
                kappa=0.797186,
            ),
            source=(
                "fitted by scalefit to the 194 runs of datablations (Muennighoff et al. 2023, "
                "arXiv:2305.16264), Huber on log loss"
            ),
            params="total",
            evidence="refit",
            corpus="C4, GPT-2 BPE",
            N=(7e6, 9e9),
            D=(1e8, 9e11),
            golden=(Golden(dict(N=1e9, D=2e10, unique_tokens=1e9), 3.0150677, 1e-6),),
        ),
    )
    bibtex = "@misc{lovelace2026, author={Lovelace and others}, title={{arXiv:2605.01640}}, year={2026}}"

    @staticmethod
    def loss(
        N: Any,
        D: Any,
        unique_tokens: Any,
        E: Any,
        A: Any,
        alpha: Any,
        B: Any,
        beta: Any,
        P: Any,
        delta: Any,
        kappa: Any,
    ) -> Any:
        """Loss [nat/token]."""
        U = np.minimum(D, unique_tokens)
        # A run without repeats has no penalty; the power of a tiny number keeps every derivative finite.
        repeats = np.maximum(D / U - 1.0, 1e-12)
        return E + A * N**-alpha + B * D**-beta + P * np.where(D > U, repeats**delta, 0.0) * (N / U) ** kappa

"""The bounded law of repeated data of Bryant and Liu (2026)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Constants, Law, Parameter, Usual
from scalefit.laws._declarations import Golden


class Practical(Law):
    r"""Loss between a floor and that of an untrained guess, with a term for size against distinct tokens [1]_.

    .. math::
        L = E + (L_0 - E)\,\frac{h}{1 + h}, \quad h = a\,N^{-\alpha} + b\,D^{-\beta} +
        c\,N^{\gamma}\,U^{-\delta}

    ``N`` [parameters], ``D`` tokens seen and ``unique_tokens`` U [tokens]; loss in [nat/token].

    References
    ----------
    .. [1] Bryant and Liu (2026), arXiv:2605.09189: the form; its constants were not found.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("practical").predict(N=1e9, D=2e10, unique_tokens=1e9), 4)
    3.0292
    """

    name = "practical"
    inputs = ("N", "D", "unique_tokens")
    exponents = {"N": ("alpha", "gamma"), "D": ("beta",), "unique_tokens": ("delta",)}
    formula = "L(N, D, U) = E + (L0 - E) h/(1 + h); h = a N^-alpha + b D^-beta + c N^gamma U^-delta"
    direction = {"N": 0}

    E = Usual.E
    L0 = Parameter("loss of an untrained guess", (0.1, 30.0), (9.0, 10.5, 12.0), unit="nat/token", log=True, own=True)
    a = Parameter("model-size coefficient", (0.0, 1e20), (10.0, 130.0, 1e3), log=True, own=True)
    alpha = Parameter("model-size exponent", (0.0, 3.0), (0.2, 0.35, 0.6))
    b = Parameter("data coefficient", (0.0, 1e20), (1e3, 1e5, 3e7), log=True, own=True)
    beta = Parameter("data exponent", (0.0, 3.0), (0.3, 0.6, 0.9))
    c = Parameter("over-fitting coefficient", (0.0, 1e20), (1e-6, 3e-4, 1e-2), log=True, own=True)
    gamma = Parameter("exponent of size in over-fitting", (0.0, 3.0), (0.8, 1.2, 1.5))
    delta = Parameter("exponent of distinct tokens in over-fitting", (0.0, 3.0), (0.8, 1.2, 1.4))

    published = (
        Constants(
            "ours_datablations",
            dict(
                E=2.02529,
                L0=10.1329,
                a=135.476,
                alpha=0.35272,
                b=3.17433e7,
                beta=0.907594,
                c=3.38118e-4,
                gamma=1.52581,
                delta=1.29995,
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
            golden=(Golden(dict(N=1e9, D=2e10, unique_tokens=1e9), 3.0291819, 1e-6),),
        ),
    )
    bibtex = "@misc{bryant2026, author={Bryant and Liu}, title={{arXiv:2605.09189}}, year={2026}}"

    @staticmethod
    def loss(
        N: Any,
        D: Any,
        unique_tokens: Any,
        E: Any,
        L0: Any,
        a: Any,
        alpha: Any,
        b: Any,
        beta: Any,
        c: Any,
        gamma: Any,
        delta: Any,
    ) -> Any:
        """Loss [nat/token]."""
        h = a * N**-alpha + b * D**-beta + c * N**gamma * np.minimum(D, unique_tokens) ** -delta
        return E + (L0 - E) * h / (1.0 + h)

"""The law of routed language models of Clark et al. (2022)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden
from scalefit.laws._forms import effective_experts


class Routed(Law):
    r"""Bilinear in the logarithms of size and of a saturating number of experts, at one amount of data [1]_.

    .. math::
        \log_{10} L = a \log_{10} N + b \log_{10} \hat e + c \log_{10} N \log_{10} \hat e +
        d, \quad 1/\hat e = \frac{1}{e - 1 + (1/s - 1/m)^{-1}} + 1/m

    ``N`` counts the parameters that a token uses [parameters], e is ``n_experts``, s ``E_start`` and m ``E_max``;
    trained on 130 billion tokens; loss in [nat/token]. Logarithms are to base 10, as in the authors' code.

    References
    ----------
    .. [1] Clark et al. (2022), Unified Scaling Laws for Routed Language Models, arXiv:2202.01169.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("routed", "clark2022_sbase").predict(N=370e6, n_experts=64), 5)
    2.22822
    """

    name = "routed"
    objective = "squared"
    inputs = ("N", "n_experts")
    exponents = {"N": ("a",)}
    formula = "L(N, e): lg L = a lg N + b lg e + c lg N lg e + d"
    a = Parameter("slope in size", (-1.0, 0.0), (-0.15, -0.08, -0.04))
    b = Parameter("slope in experts", (-1.0, 0.5), (-0.2, -0.12, -0.05))
    c = Parameter("what size takes from the gain of experts", (-0.2, 0.2), (0.0, 0.01, 0.02))
    d = Parameter("log10 of the loss of one parameter", (-5.0, 5.0), (0.8, 1.1, 1.5), own=True)
    E_start = Parameter("experts that pay from", (1.0, 100.0), (1.5, 2.0, 4.0), log=True)
    E_max = Parameter("experts that saturate at", (100.0, 1e6), (150.0, 300.0, 1000.0), log=True)

    published = (
        Constants(
            "clark2022_sbase",
            dict(a=-0.082, b=-0.108, c=0.009, d=1.104, E_start=1.847, E_max=314.478),
            source="Clark et al. (2022), arXiv:2202.01169, as two reviews quote it",
            params="active",
            evidence="review",
            checked="no: the sizes printed beyond which experts do not help do not follow from the rounded digits",
            corpus="MassiveText; router S-BASE",
            remark="b, c and E_max lie on a ridge: rounding matters.",
            N=(1.5e7, 1.3e9),
            D=(1.3e11, 1.3001e11),
            ranges={"n_experts": (1, 512)},
            golden=(Golden(dict(N=370e6, n_experts=64), 2.2282197, 1e-6),),
        ),
        Constants(
            "clark2022_rlr",
            dict(a=-0.083, b=-0.126, c=0.012, d=1.111, E_start=1.88, E_max=469.982),
            source="Clark et al. (2022), arXiv:2202.01169, as two reviews quote it",
            params="active",
            evidence="review",
            checked="no: the sizes printed beyond which experts do not help do not follow from the rounded digits",
            corpus="MassiveText; router RL-R",
            remark="b, c and E_max lie on a ridge: rounding matters.",
            N=(1.5e7, 1.3e9),
            D=(1.3e11, 1.3001e11),
            ranges={"n_experts": (1, 512)},
            golden=(Golden(dict(N=370e6, n_experts=64), 2.2862964, 1e-6),),
        ),
        Constants(
            "clark2022_hash",
            dict(a=-0.087, b=-0.136, c=0.012, d=1.157, E_start=4.175, E_max=477.741),
            source="Clark et al. (2022), arXiv:2202.01169, as two reviews quote it",
            params="active",
            evidence="review",
            checked="no: the sizes printed beyond which experts do not help do not follow from the rounded digits",
            corpus="MassiveText; router HASH",
            remark="b, c and E_max lie on a ridge: rounding matters.",
            N=(1.5e7, 1.3e9),
            D=(1.3e11, 1.3001e11),
            ranges={"n_experts": (1, 512)},
            golden=(Golden(dict(N=370e6, n_experts=64), 2.2533351, 1e-6),),
        ),
    )
    bibtex = (
        "@article{clark2022unified, title={Unified Scaling Laws for Routed Language Models}, "
        "author={Clark, Aidan and others}, journal={arXiv:2202.01169}, year={2022}}"
    )

    @staticmethod
    def loss(N: Any, n_experts: Any, a: Any, b: Any, c: Any, d: Any, E_start: Any, E_max: Any) -> Any:
        """Loss [nat/token]."""
        e = np.log10(effective_experts(n_experts, E_start, E_max))
        n = np.log10(N)
        return 10.0 ** (a * n + b * e + c * n * e + d)

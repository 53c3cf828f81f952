"""The critical mixture ratio of continued pretraining of Gu et al. (2024)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Input, Target
from scalefit.laws._starts import linear_starts


class CMR(Law):
    r"""The largest share of domain text that does not raise the general loss, by tokens [1]_.

    .. math:: R = a\,T^{s} + b

    T is ``tokens_in_200M``, training tokens in units of 0.2 billion; the share is between 0 and 1. A setting: there
    is nothing to minimise.

    References
    ----------
    .. [1] Gu et al. (2024), CMR Scaling Law: Predicting Critical Mixture Ratios for Continual Pre-training,
       arXiv:2407.17467, table 5.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("cmr", "gu2024_460m").predict(tokens_in_200M=100), 4)
    0.2976
    """

    name = "cmr"
    inputs = ("tokens_in_200M",)
    formula = "R(T) = a T^s + b"
    target = Target("domain_share", sense=0, range=(-1e3, 1e3), scale="linear")
    direction = {"tokens_in_200M": 0}
    tokens_in_200M = Input(
        "training tokens, in units of 0.2 billion", ("tokens_in_200m",), "0.2B tokens", typical=(10, 30, 100, 300)
    )

    a = Parameter("coefficient", (-1e3, 1e3), (0.1, 0.3, 1.0), own=True)
    s = Parameter("exponent", (-5.0, 5.0), (-0.3, 0.2, 0.5))
    b = Parameter("share of endless or of no training", (-1e3, 1e3), (-1.0, -0.5, 0.5), own=True)

    published = (
        Constants(
            "gu2024_460m",
            dict(a=0.22524761, s=0.26944345, b=-0.48139982),
            source="Gu et al. (2024), arXiv:2407.17467, table 5",
            params="total",
            evidence="review",
            checked="yes: 29.8% at 20 billion tokens",
            golden=(Golden(dict(tokens_in_200M=100), 0.29761746, 1e-6),),
        ),
        Constants(
            "gu2024_940m",
            dict(a=0.7520627, s=0.13720245, b=-1.06581937),
            source="Gu et al. (2024), arXiv:2407.17467, table 5",
            params="total",
            evidence="review",
            checked="yes: 34.9% at 20 billion tokens",
            golden=(Golden(dict(tokens_in_200M=100), 0.34886303, 1e-6),),
        ),
        Constants(
            "gu2024_1.6b",
            dict(a=-2.36384831, s=-0.15125569, b=1.59223649),
            source="Gu et al. (2024), arXiv:2407.17467, table 5",
            params="total",
            evidence="review",
            checked="yes: 41.4% at 20 billion tokens",
            golden=(Golden(dict(tokens_in_200M=100), 0.41433703, 1e-6),),
        ),
        Constants(
            "gu2024_3.1b",
            dict(a=-2.5368197, s=-0.42071423, b=0.84375368),
            source="Gu et al. (2024), arXiv:2407.17467, table 5",
            params="total",
            evidence="review",
            checked="yes: 47.8% at 20 billion tokens",
            golden=(Golden(dict(tokens_in_200M=100), 0.47827576, 1e-6),),
        ),
    )
    bibtex = (
        "@article{gu2024cmr, title={CMR Scaling Law: Predicting Critical Mixture Ratios for Continual "
        "Pre-training of Language Models}, author={Gu, Jiawei and others}, journal={arXiv:2407.17467}, "
        "year={2024}}"
    )

    @staticmethod
    def loss(tokens_in_200M: Any, a: Any, s: Any, b: Any) -> Any:
        """Best share of domain text [-]."""
        return a * tokens_in_200M**s + b

    @staticmethod
    def starts(columns: dict[str, Array], target: Array) -> Array:
        """Powers from a grid of either sign; the law is linear in the rest."""
        powers = np.geomspace(0.05, 2.0, 16)
        return linear_starts(CMR, columns, target, {"s": np.r_[-powers, powers]})

"""Effective data transferred, of Hernandez et al. (2021)."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Input, Target


class Transfer(Law):
    r"""Characters of target data that pretraining is worth [1]_.

    .. math:: D_T = k\,D_F^{a} N^{b}

    D_F is ``finetune_characters`` [characters], not tokens; ``N`` counts parameters without vocabulary and
    positions [parameters]. It holds where D_F is at most a tenth of what a model of that size needs from scratch.

    References
    ----------
    .. [1] Hernandez et al. (2021), Scaling Laws for Transfer, arXiv:2102.01293.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("transfer", "hernandez2021_text").predict(finetune_characters=3e8, N=1e8) / 1e8, 3)
    6.993
    """

    name = "transfer"
    inputs = ("finetune_characters", "N")
    formula = "D_T(D_F, N) = k D_F^a N^b"
    target = Target("transferred_characters", "characters", sense=1)
    direction = {"finetune_characters": 0, "N": 0}
    finetune_characters = Input(
        "characters of fine-tuning data", ("finetune_characters", "d_f"), "characters", typical=(1e6, 1e7, 1e8, 1e9)
    )

    k = Parameter("coefficient", (0.0, 1e20), (1e3, 2e4, 1e6), log=True, linear=True, own=True)
    a = Parameter("exponent of fine-tuning data", (0.0, 3.0), (0.05, 0.18, 0.4))
    b = Parameter("exponent of size", (0.0, 3.0), (0.2, 0.38, 0.6))

    published = (
        Constants(
            "hernandez2021_text",
            dict(k=19000.0, a=0.18, b=0.38),
            source="Hernandez et al. (2021), arXiv:2102.01293, text to Python",
            params="non_embedding",
            evidence="review",
            golden=(Golden(dict(finetune_characters=3e8, N=1e8), 699254750.0, 1e-7),),
        ),
        Constants(
            "hernandez2021_mixed",
            dict(k=210000.0, a=0.096, b=0.38),
            source="Hernandez et al. (2021), arXiv:2102.01293, half text, half code to Python",
            params="non_embedding",
            evidence="review",
            golden=(Golden(dict(finetune_characters=3e8, N=1e8), 1499764000.0, 1e-7),),
        ),
    )
    bibtex = (
        "@article{hernandez2021scaling, title={Scaling Laws for Transfer}, author={Hernandez, Danny and "
        "others}, journal={arXiv:2102.01293}, year={2021}}"
    )

    @staticmethod
    def loss(finetune_characters: Any, N: Any, k: Any, a: Any, b: Any) -> Any:
        """Characters of target data that pretraining is worth [characters]."""
        return k * finetune_characters**a * N**b

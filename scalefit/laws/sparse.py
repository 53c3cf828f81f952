"""The law of sparsely-connected models of Frantar et al. (2023)."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter, Usual
from scalefit.laws._declarations import Golden, Input


class Sparse(Law):
    r"""Powers of non-zero parameters and tokens, where sparsity makes each parameter worth more [1]_.

    .. math:: L = (a_S (1-S)^{b_S} + c_S)\,N^{-b_N} + (a_D/D)^{b_D} + E

    ``N`` counts parameters that are not zero [parameters], ``D`` training tokens or images seen, S is ``sparsity``;
    loss in [nat/token] for text.

    References
    ----------
    .. [1] Frantar et al. (2023), Scaling Laws for Sparsely-Connected Foundation Models, arXiv:2309.08520.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("sparse", "frantar2023_t5").predict(N=1e8, D=1e10, sparsity=0.5), 5)
    1.83724
    """

    name = "sparse"
    inputs = ("N", "D", "sparsity")
    exponents = {"N": ("b_N",), "D": ("b_D",), "sparsity": ("b_S",)}
    formula = "L(N, D, S) = (a_S (1-S)^b_S + c_S) N^-b_N + (a_D/D)^b_D + E"
    sparsity = Input(
        "share of parameters that are zero",
        ("sparsity",),
        range=(0, 0.999),
        typical=(0, 0.5, 0.75, 0.875),
        zero=True,
        optional=0.0,
        counts={"N": "non_zero"},
    )

    E = Usual.E
    a_S = Parameter("size coefficient of density", (0.0, 1e20), (5.0, 17.0, 300.0), log=True, linear=True, own=True)
    b_S = Parameter("exponent of density", (0.0, 3.0), (0.4, 0.7, 1.0))
    c_S = Parameter("size coefficient", (0.0, 1e20), (10.0, 45.0, 500.0), log=True, linear=True, own=True)
    b_N = Parameter("size exponent", (0.0, 3.0), (0.15, 0.25, 0.4))
    a_D = Parameter("data scale", (1e-3, 1e30), (1e7, 7e8, 1e10), log=True)
    b_D = Parameter("data exponent", (0.0, 3.0), (0.1, 0.2, 0.8))

    published = (
        Constants(
            "frantar2023_t5",
            dict(E=0.651, a_S=16.8, b_S=0.722, c_S=45.0, b_N=0.245, a_D=6.90e8, b_D=0.203),
            source="Frantar et al. (2023), arXiv:2309.08520, as a review quotes it",
            params="non_zero",
            evidence="review",
            checked="yes: a 75 % sparse model is worth a dense one of 2.16 times its size",
            corpus="T5 on C4",
            golden=(Golden(dict(N=1e8, D=1e10, sparsity=0.5), 1.8372402, 1e-7),),
        ),
        Constants(
            "frantar2023_vit",
            dict(E=4.517, a_S=294, b_S=0.821, c_S=468, b_N=0.392, a_D=2.37e8, b_D=0.890),
            source="Frantar et al. (2023), arXiv:2309.08520, as a review quotes it",
            params="non_zero",
            evidence="review",
            checked="yes: a 75 % sparse model is worth a dense one of 2.17 times its size",
            corpus="ViT on JFT-4B; the loss is of images",
        ),
    )
    bibtex = (
        "@article{frantar2023scaling, title={Scaling Laws for Sparsely-Connected Foundation Models}, "
        "author={Frantar, Elias and others}, journal={arXiv:2309.08520}, year={2023}}"
    )

    @staticmethod
    def loss(N: Any, D: Any, sparsity: Any, E: Any, a_S: Any, b_S: Any, c_S: Any, b_N: Any, a_D: Any, b_D: Any) -> Any:
        """Loss [nat/token]."""
        return (a_S * (1.0 - sparsity) ** b_S + c_S) * N**-b_N + (a_D / D) ** b_D + E

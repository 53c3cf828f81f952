"""The law of one domain of a mixture, by its share and by data, of Ge et al. (2024)."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Law, Parameter
from scalefit.laws._declarations import Input


class BiMix(Law):
    r"""Loss on one domain as a power of its share times a law of data [1]_.

    .. math:: L(r, D) = r^{-a}\,(B\,D^{-b} + C)

    r is ``domain_share``, the share of that domain in the training text, which may not be 0; ``D`` counts all
    training tokens [tokens], at one size of model. The paper writes a factor before r, which cannot be told apart from
    B and C: it is 1 here. The paper counts steps of 524,288 tokens, which only changes B. Loss in [nat/token]. Its
    coefficients were not found in print: none are shipped.

    References
    ----------
    .. [1] Ge et al. (2024), BiMix: Bivariate Data Mixing Law for Language Model Pretraining, arXiv:2405.14908, eq. 3.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.laws.get("bimix")
    >>> round(law.loss(0.25, 2e10, a=0.05, B=400.0, b=0.28, C=1.6), 3)
    2.274
    """

    name = "bimix"
    inputs = ("domain_share", "D")
    exponents = {"domain_share": ("a",), "D": ("b",)}
    formula = "L(r, D) = r^-a (B D^-b + C)"
    domain_share = Input(
        "share of the domain in the training text",
        ("domain_share", "r", "mixture_ratio"),
        range=(0, 1),
        typical=(0.01, 0.05, 0.2, 0.5, 1.0),
    )

    a = Parameter("exponent of the share", (0.0, 3.0), (0.02, 0.06, 0.15))
    B = Parameter("data coefficient", (0.0, 1e20), (10.0, 400.0, 1e4), log=True, linear=True, own=True)
    b = Parameter("data exponent", (0.0, 3.0))
    C = Parameter(
        "floor where all text is of the domain", (0.0, 100.0), (0.5, 1.6, 3.0), "nat/token", True, True, own=True
    )

    bibtex = (
        "@article{ge2024bimix, title={BiMix: Bivariate Data Mixing Law for Language Model Pretraining}, author={Ge, Ce "
        "and others}, journal={arXiv:2405.14908}, year={2024}}"
    )

    @staticmethod
    def loss(domain_share: Any, D: Any, a: Any, B: Any, b: Any, C: Any) -> Any:
        """Loss on the domain [nat/token]."""
        return domain_share**-a * (B * D**-b + C)

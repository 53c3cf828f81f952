"""The law of sparse mixtures of experts of Abnar et al. (2025)."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter, Usual
from scalefit.laws._declarations import Golden, Input


class SparsityMoE(Law):
    r"""Chinchilla's law with two terms in the share of experts that a token uses [1]_.

    .. math:: L = E + a\,N^{-\alpha} + b\,D^{-\beta} + c\,(1-S)^{-\lambda} + d\,(1-S)^{-\delta} N^{-\gamma}

    ``N`` counts all parameters [parameters], ``D`` tokens [tokens], S is ``sparsity``, the share of experts that a
    token does not use; loss in [nat/token].

    References
    ----------
    .. [1] Abnar et al. (2025), Parameters vs FLOPs, arXiv:2501.12370, eq. 6 and table 3.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("sparsity_moe").predict(N=18.8e9, D=110.2e9, sparsity=0.98), 4)
    2.1693
    """

    name = "sparsity_moe"
    inputs = ("N", "D", "sparsity")
    exponents = {"N": ("alpha", "gamma"), "D": ("beta",), "sparsity": ("lam", "delta")}
    formula = "L(N, D, S) = E + a N^-alpha + b D^-beta + c (1-S)^-lam + d (1-S)^-delta N^-gamma"
    flops = "logged"
    direction = {"sparsity": 0}
    sparsity = Input(
        "share of experts that a token does not use",
        ("sparsity",),
        range=(0, 0.999),
        typical=(0, 0.5, 0.75, 0.9, 0.98),
        zero=True,
        optional=0.0,
    )

    E = Usual.E
    a = Parameter("size coefficient", (0.0, 1e20), (100.0, 1e4, 1e6), log=True, linear=True, own=True)
    alpha = Parameter("size exponent", (0.0, 3.0), (0.1, 0.4, 0.6, 0.8))
    b = Parameter("data coefficient", (0.0, 1e20), (100.0, 5e3, 1e6), log=True, linear=True, own=True)
    beta = Parameter("data exponent", (0.0, 3.0), (0.2, 0.4, 0.6))
    c = Parameter("sparsity coefficient", (0.0, 1e20), (0.1, 0.5, 2.0), log=True, linear=True, own=True)
    lam = Parameter("sparsity exponent", (-2.0, 2.0), (-0.5, -0.17, 0.1, 0.8))
    d = Parameter("coefficient of sparsity and size", (0.0, 1e20), (5.0, 17.0, 100.0), log=True, linear=True, own=True)
    delta = Parameter("exponent of sparsity in the joint term", (-2.0, 2.0), (0.05, 0.16, 0.3))
    gamma = Parameter("exponent of size in the joint term", (0.0, 3.0), (0.1, 0.16, 0.25, 0.8))

    published = (
        Constants(
            "abnar2025",
            dict(
                E=0.94,
                a=16612.50,
                alpha=0.5962,
                b=5455.67,
                beta=0.3954,
                c=0.4598,
                lam=-0.1666,
                d=17.26,
                delta=0.1603,
                gamma=0.1595,
            ),
            source="Abnar et al. (2025), arXiv:2501.12370, table 3",
            params="total",
            evidence="review",
            remark="Held-out R2 in the paper: 68 %.",
            golden=(
                Golden(dict(N=18.8e9, D=110.2e9, sparsity=0.98), 2.1693353, 1e-7),
                Golden(dict(N=1e9, D=2e10, sparsity=0), 2.56568, 1e-5),
            ),
        ),
    )
    bibtex = (
        "@article{abnar2025parameters, title={Parameters vs FLOPs: Scaling Laws for Optimal Sparsity "
        "for Mixture-of-Experts Language Models}, author={Abnar, Samira and others}, "
        "journal={arXiv:2501.12370}, year={2025}}"
    )

    @staticmethod
    def loss(
        N: Any,
        D: Any,
        sparsity: Any,
        E: Any,
        a: Any,
        alpha: Any,
        b: Any,
        beta: Any,
        c: Any,
        lam: Any,
        d: Any,
        delta: Any,
        gamma: Any,
    ) -> Any:
        """Loss [nat/token]."""
        dense = 1.0 - sparsity
        return E + a * N**-alpha + b * D**-beta + c * dense**-lam + d * dense**-delta * N**-gamma

"""The comprehensive law of mixtures of experts of Zhao et al. (2025)."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter, Usual
from scalefit.laws._declarations import Golden, Input


class ComprehensiveMoE(Law):
    r"""Size, active size, active experts and the share of shared experts in one law [1]_.

    .. math::
        L = (e\,G + f/G + m\,S^2 + n\,S)(N^{-\alpha} + k\,N_a^{-\alpha} + h\,N_a/N) +
        a\,N^{-\alpha} + b\,D^{-\beta} + c\,N_a^{-\alpha} + E

    ``N`` counts all and ``N_active`` the active parameters [parameters], ``D`` tokens [tokens], G is
    ``active_experts`` and S ``shared_share``, the shared experts' share of the active ones; loss in [nat/token].

    References
    ----------
    .. [1] Zhao et al. (2025), Towards a Comprehensive Scaling Law of Mixture-of-Experts, arXiv:2509.23678.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.published("comprehensive_moe")
    >>> round(law.predict(N=3e10, D=1e12, N_active=3e9, active_experts=8, shared_share=0.125), 4)
    2.1883
    """

    name = "comprehensive_moe"
    inputs = ("N", "D", "N_active", "active_experts", "shared_share")
    exponents = {"N": ("alpha",), "D": ("beta",)}
    formula = (
        "L(N, D, N_a, G, S) = (e G + f/G + m S^2 + n S)(N^-alpha + k N_a^-alpha + h N_a/N) + a N^-alpha "
        "+ b D^-beta + c N_a^-alpha + E"
    )
    flops = "logged"
    direction = {"N": 0, "N_active": 0, "active_experts": 0, "shared_share": 0}
    N_active = Input("active parameters", ("n_active", "na"), "parameters", typical=(1e8, 3e8, 1e9, 3e9))
    active_experts = Input("active experts", ("active_experts", "topk", "top_k"), range=(1, 512), typical=(1, 2, 8, 32))
    shared_share = Input(
        "shared experts over active ones", ("shared_share",), range=(0, 1), typical=(0, 0.2, 0.5), zero=True
    )

    E = Usual.E
    e = Parameter("cost per active expert", (0.0, 1e20), (0.05, 0.16, 0.5), log=True, own=True)
    f = Parameter("cost of few active experts", (0.0, 1e20), (2.0, 7.0, 20.0), log=True, own=True)
    m = Parameter("curvature in the shared share", (-100.0, 100.0), (2.0, 5.0, 10.0))
    n = Parameter("slope in the shared share", (-100.0, 100.0), (-6.0, -3.2, -1.0))
    k = Parameter("weight of active size", (0.0, 100.0), (0.0005, 0.0013, 0.01))
    h = Parameter("weight of the active share", (0.0, 100.0), (0.01, 0.045, 0.2))
    a = Parameter("size coefficient", (0.0, 1e20), (10.0, 38.0, 400.0), log=True, linear=True, own=True)
    alpha = Parameter("size exponent", (0.0, 3.0), (0.15, 0.24, 0.4))
    b = Parameter("data coefficient", (0.0, 1e20), (1e3, 3e4, 1e6), log=True, linear=True, own=True)
    beta = Parameter("data exponent", (0.0, 3.0), (0.3, 0.47, 0.6))
    c = Parameter("active-size coefficient", (0.0, 1e20), (10.0, 31.0, 400.0), log=True, linear=True, own=True)

    published = (
        Constants(
            "zhao2025",
            dict(
                E=1.8182,
                e=0.1577,
                f=7.2446,
                m=5.1395,
                n=-3.2363,
                k=0.0013,
                h=0.0450,
                a=38.051,
                alpha=0.2383,
                b=27129.05,
                beta=0.4694,
                c=31.096,
            ),
            source="Zhao et al. (2025), arXiv:2509.23678",
            params="total",
            evidence="review",
            checked=(
                "yes: the best number of active experts, sqrt(f/e) = 6.8 (about 7), and shared share, -n/2m = "
                ".315 (.31)"
            ),
            golden=(Golden(dict(N=3e10, D=1e12, N_active=3e9, active_experts=8, shared_share=0.125), 2.1883298, 1e-7),),
        ),
    )
    bibtex = (
        "@article{zhao2025comprehensive, title={Towards a Comprehensive Scaling Law of "
        "Mixture-of-Experts}, author={Zhao and others}, journal={arXiv:2509.23678}, year={2025}}"
    )

    @staticmethod
    def loss(
        N: Any,
        D: Any,
        N_active: Any,
        active_experts: Any,
        shared_share: Any,
        E: Any,
        e: Any,
        f: Any,
        m: Any,
        n: Any,
        k: Any,
        h: Any,
        a: Any,
        alpha: Any,
        b: Any,
        beta: Any,
        c: Any,
    ) -> Any:
        """Loss [nat/token]."""
        G, S = active_experts, shared_share
        shape = e * G + f / G + m * S * S + n * S
        size, active = N**-alpha, N_active**-alpha
        return shape * (size + k * active + h * N_active / N) + a * size + b * D**-beta + c * active + E

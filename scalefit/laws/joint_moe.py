"""The joint law of dense and mixture-of-experts models of Ludziejewski et al. (2025)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Constants, Law, Parameter, Usual
from scalefit.laws._declarations import Golden
from scalefit.laws._forms import effective_experts


class JointMoE(Law):
    r"""Chinchilla's law whose coefficients and exponents move with the number of experts [1]_.

    .. math::
        L = E + a\,\hat e^{\delta} N^{-\alpha + \gamma \ln \hat e} +
        b\,\hat e^{\omega} D^{-\beta - \zeta \ln \hat e}, \quad 1/\hat e = \frac{1}{e - 1 +
        (1/s - 1/m)^{-1}} + 1/m

    ``N`` counts active parameters, both embeddings included [parameters], ``D`` tokens [tokens], e is
    ``n_experts``, s ``E_start`` and m ``E_max``; loss in [nat/token].

    References
    ----------
    .. [1] Ludziejewski et al. (2025), Joint MoE Scaling Laws, arXiv:2502.05172, eqs. 4 and 6.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("joint_moe").predict(N=1e9, D=2e10, n_experts=8), 5)
    2.50878
    """

    name = "joint_moe"
    inputs = ("N", "D", "n_experts")
    exponents = {"N": ("alpha", "gamma"), "D": ("beta", "zeta")}
    formula = "L(N, D, e) = E + a e^delta N^(-alpha + gamma ln e) + b e^omega D^(-beta - zeta ln e)"
    direction = {"n_experts": 0}  # many experts do not pay for little data
    E = Usual.E
    a = Parameter("size coefficient", (0.0, 1e20), (10.0, 36.0, 400.0), log=True, linear=True, own=True)
    alpha = Parameter("size exponent", (0.0, 3.0), (0.1, 0.19, 0.35))
    delta = Parameter("gain of experts in the size term", (-3.0, 3.0), (-0.5, -0.23, 0.0))
    gamma = Parameter("what experts take from the size exponent", (-1.0, 1.0), (0.0, 0.01, 0.05))
    b = Parameter("data coefficient", (0.0, 1e20), (10.0, 36.0, 400.0), log=True, linear=True, own=True)
    beta = Parameter("data exponent", (0.0, 3.0), (0.1, 0.18, 0.35))
    omega = Parameter("cost of experts in the data term", (-3.0, 3.0), (0.0, 0.55, 1.0))
    zeta = Parameter("what experts add to the data exponent", (-1.0, 1.0), (0.0, 0.026, 0.1))
    E_start = Parameter("experts that pay from", (1.0, 100.0), (1.5, 2.0, 4.0), log=True)
    E_max = Parameter("experts that saturate at", (100.0, 1e6), (150.0, 300.0, 1000.0), log=True)

    published = (
        Constants(
            "ludziejewski2025",
            dict(
                E=1.3637,
                a=35.91,
                alpha=0.1889,
                delta=-0.2285,
                gamma=0.0098,
                b=35.98,
                beta=0.1775,
                omega=0.5529,
                zeta=0.0259,
                E_start=2.0732,
                E_max=290.4521,
            ),
            source="Ludziejewski et al. (2025), arXiv:2502.05172, table 3",
            params="active",
            evidence="paper",
            checked="yes: the optima of its table 1",
            N=(1e8, 5e9),
            ranges={"n_experts": (1, 32)},
            golden=(
                Golden(dict(N=1e9, D=2e10, n_experts=1), 2.5776, 1e-6),
                Golden(dict(N=1e9, D=2e10, n_experts=8), 2.5087773, 1e-7),
                Golden(dict(N=1e9, D=2e10, n_experts=32), 2.4545612, 1e-7),
            ),
        ),
    )
    bibtex = (
        "@article{ludziejewski2025joint, title={Joint MoE Scaling Laws: Mixture of Experts Can Be "
        "Memory Efficient}, author={Ludziejewski, Jan and others}, journal={arXiv:2502.05172}, "
        "year={2025}}"
    )

    @staticmethod
    def loss(
        N: Any,
        D: Any,
        n_experts: Any,
        E: Any,
        a: Any,
        alpha: Any,
        delta: Any,
        gamma: Any,
        b: Any,
        beta: Any,
        omega: Any,
        zeta: Any,
        E_start: Any,
        E_max: Any,
    ) -> Any:
        """Loss [nat/token]."""
        e = np.log(effective_experts(n_experts, E_start, E_max))
        size = np.exp(delta * e + (gamma * e - alpha) * np.log(N))
        return E + a * size + b * np.exp(omega * e - (beta + zeta * e) * np.log(D))

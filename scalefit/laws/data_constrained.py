"""The law for repeated data of Muennighoff et al. (2023)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Constants, Law, Parameter, Usual
from scalefit.laws._starts import repetition_starts
from scalefit.laws.chinchilla import Chinchilla


class DataConstrained(Law):
    r"""Chinchilla's law in effective parameters and tokens, for training over several epochs [1]_.

    .. math::
        L = E + A\,N'^{-\alpha} + B\,D'^{-\beta}, \quad
        D' = U_D + U_D R_D^*\,(1 - e^{-R_D/R_D^*}), \quad
        N' = U_N + U_N R_N^*\,(1 - e^{-R_N/R_N^*})

    Here U_D = min(D, unique_tokens), R_D = D/U_D - 1, U_N = min(N, N_opt(U_D)), R_N = N/U_N - 1, where
    N_opt(U_D) = G (G U_D)^(beta/alpha), G = (alpha A/(beta B))^(1/(alpha+beta)), is the compute-optimal size for U_D
    tokens. ``N`` [parameters], ``D`` tokens seen and ``unique_tokens`` [tokens]; loss in [nat/token].

    References
    ----------
    .. [1] Muennighoff et al. (2023), Scaling Data-Constrained Language Models, arXiv:2305.16264, eqs. 5 and 7-8.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.published("data_constrained", "muennighoff2023")
    >>> round(law.predict(N=6.34e9, D=242e9, unique_tokens=25e9), 9)
    2.225644089
    """

    inputs = ("N", "D", "unique_tokens")
    exponents = {"N": ("alpha",), "D": ("beta",)}
    formula = "L(N, D, U) = E + A N'^-alpha + B D'^-beta"
    direction = {"N": 0}

    E = Usual.E
    A = Parameter("model-size coefficient", (0.0, 1e20), (10.0, 500.0, 1e4), log=True, linear=True, own=True)
    alpha = Parameter("model-size exponent", (0.0, 3.0), (0.2, 0.35, 0.6))
    B = Parameter("data coefficient", (0.0, 1e20), (10.0, 1500.0, 1e4), log=True, linear=True, own=True)
    beta = Parameter("data exponent", (0.0, 3.0), (0.2, 0.36, 0.6))
    R_D = Parameter("repetitions of data worth having, R_D*", (1e-2, 1e6), (3.0, 15.0, 75.0), log=True)
    R_N = Parameter("excess of parameters worth having, R_N*", (1e-2, 1e6), (1.0, 5.0, 25.0), log=True)

    published = (
        Constants(
            "muennighoff2023",
            dict(
                E=float(np.exp(0.6254804)),
                A=float(np.exp(6.255414)),
                alpha=0.3526596,
                B=float(np.exp(7.3049974)),
                beta=0.3526596,
                R_D=15.387756,
                R_N=5.309743,
            ),
            source="Muennighoff et al. (2023), arXiv:2305.16264; digits from the README of datablations",
            N=(7e6, 9e9),
            D=(1e8, 9e11),
            corpus="C4, GPT-2 BPE",
            remark="alpha and beta were tied.",
        ),
    )
    bibtex = (
        "@article{muennighoff2023scaling, title={Scaling Data-Constrained Language Models}, "
        "author={Muennighoff, Niklas and others}, journal={arXiv:2305.16264}, year={2023}}"
    )

    @staticmethod
    def loss(
        N: Any, D: Any, unique_tokens: Any, E: Any, A: Any, alpha: Any, B: Any, beta: Any, R_D: Any, R_N: Any
    ) -> Any:
        """Loss [nat/token]."""
        u_d = np.minimum(D, unique_tokens)
        with np.errstate(all="ignore"):  # N_opt lies beyond all numbers where an exponent is next to nothing
            g = (alpha * A / (beta * B)) ** (1.0 / (alpha + beta))
            u_n = np.minimum(N, g * (g * u_d) ** (beta / alpha))
            d_eff = u_d * (1 + R_D * (1 - np.exp(-(D / u_d - 1) / R_D)))
            n_eff = u_n * (1 + R_N * (1 - np.exp(-(N / u_n - 1) / R_N)))
            return E + A * n_eff**-alpha + B * d_eff**-beta

    @staticmethod
    def gradient(
        N: Any, D: Any, unique_tokens: Any, E: Any, A: Any, alpha: Any, B: Any, beta: Any, R_D: Any, R_N: Any
    ) -> list[Any]:
        """Derivatives in order of the parameters."""
        u_d = np.minimum(D, unique_tokens)
        s, ratio = alpha + beta, beta / alpha
        log_g = np.log(alpha * A / (beta * B)) / s
        log_opt = log_g + ratio * (log_g + np.log(u_d))
        below = np.log(N) < log_opt
        u_n = np.where(below, N, np.exp(log_opt))
        r_n, r_d = N / u_n - 1, D / u_d - 1
        decay_n, decay_d = np.exp(-r_n / R_N), np.exp(-r_d / R_D)
        n_eff, d_eff = u_n * (1 + R_N * (1 - decay_n)), u_d * (1 + R_D * (1 - decay_d))
        n_term, d_term = A * n_eff**-alpha, B * d_eff**-beta
        # N' through U_N: dN'/dlnU_N = N' - N exp(-R_N/R_N*); zero where U_N = N.
        slope = np.where(below, 0.0, -alpha * n_term / n_eff * (n_eff - N * decay_n)) * (1 + ratio)
        by_ratio = np.where(below, 0.0, slope / (1 + ratio)) * (log_g + np.log(u_d))
        return [
            np.ones_like(n_term),
            n_term / A + slope / (s * A),
            -n_term * np.log(n_eff) + slope * (1 / alpha - log_g) / s - by_ratio * ratio / alpha,
            d_term / B - slope / (s * B),
            -d_term * np.log(d_eff) - slope * (1 / beta + log_g) / s + by_ratio / alpha,
            -beta * d_term / d_eff * u_d * (1 - decay_d * (1 + r_d / R_D)),
            -alpha * n_term / n_eff * u_n * (1 - decay_n * (1 + r_n / R_N)),
        ]

    rescale = staticmethod(Chinchilla.rescale)  # unique tokens share D's unit
    starts = staticmethod(repetition_starts)

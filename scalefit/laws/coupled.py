"""The coupled law: Chinchilla's and Kaplan's laws are its two ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.laws._base import Constants, Law, Parameter, Usual
from scalefit.laws._declarations import Golden

#: Exponents of N and D, coupling, and the floor as a share of the lowest loss: all that are seen on public tables, and
#: the edges where one of the terms or the coupling is hardly determined.
_EXPONENTS = (0.04, 0.08, 0.16, 0.3, 0.5, 0.9, 1.6)
_NODES = np.stack(
    np.meshgrid(_EXPONENTS, _EXPONENTS, (0.08, 0.15, 0.3, 0.6, 1.0, 2.0), (0.0, 0.4, 0.6, 0.8, 0.92)), axis=-1
).reshape(-1, 4)


class Coupled(Law):
    r"""Power laws in parameters and tokens that join smoothly, over a floor.

    .. math:: L(N, D) = E + \left[A\,N^{-\alpha/g} + B\,D^{-\beta/g}\right]^{g}

    ``N`` counts parameters [parameters], ``D`` training tokens seen [tokens]; the loss is in [nat/token]. ``alpha``
    and ``beta`` are the exponents far from balance, where one of the two terms rules. With g = 1 it is the additive
    law of [1]_; with E = 0, alpha = alpha_N, beta = g = alpha_D, A = N_c^(alpha_N/alpha_D), B = D_c it is the joint
    law of [2]_. Small g turns the sum into the larger of its two terms: a model short of parameters gains nothing
    from data. Fitted g lies between 0.2 and 0.9 on most public tables, between the two papers.

    References
    ----------
    .. [1] Hoffmann et al. (2022), Training Compute-Optimal Large Language Models, arXiv:2203.15556, eq. 2.
    .. [2] Kaplan et al. (2020), Scaling Laws for Neural Language Models, arXiv:2001.08361, eq. 1.5.
    .. [3] Videau et al. (2026), arXiv:2608.07222, who name the same form Skaling (their exponents are alpha/g, beta/g).

    Examples
    --------
    >>> import scalefit as sf
    >>> coupled = sf.laws.get("coupled")
    >>> hoffmann = dict(sf.published("chinchilla", "hoffmann2022").constants.values)
    >>> round(coupled.loss(70e9, 1.4e12, **hoffmann, g=1.0), 5)
    1.93665
    """

    inputs = ("N", "D")
    formula = "L(N, D) = E + (A N^(-alpha/g) + B D^(-beta/g))^g"

    E = Usual.E
    A = Parameter("model-size coefficient", (1e-120, 1e250), (1e4, 1e6, 1e9), log=True, own=True)
    alpha = Parameter("model-size exponent", (0.0, 3.0), (0.15, 0.3, 0.6))
    B = Parameter("data coefficient", (1e-120, 1e250), (1e4, 1e7, 1e10), log=True, own=True)
    beta = Parameter("data exponent", (0.0, 3.0), (0.15, 0.3, 0.6))
    g = Parameter("coupling: 1 adds the terms, 0 takes the larger", (0.05, 4.0), (0.3, 0.5, 1.0))

    published = (
        Constants(
            "busbridge2025_supervised",
            dict(E=1.220, A=3355.0, alpha=0.408 * 0.452, B=18186.0, beta=0.431 * 0.452, g=0.452),
            source="Busbridge et al. (2025), arXiv:2502.08606, eq. 46 and table 6: supervised training",
            N=(1.43e8, 1.26e10),
            D=(0, 5.12e11),
            params="non_embedding",
            remark="Its exponents .408 and .431 stand inside the sum: they are alpha/g and beta/g here.",
            golden=(Golden(dict(N=1e9, D=2e10), 2.3746922, 1e-7),),
        ),
    )

    bibtex = (
        "@article{hoffmann2022training, title={Training Compute-Optimal Large Language Models}, "
        "author={Hoffmann, Jordan and others}, journal={arXiv:2203.15556}, year={2022}}"
    )

    @staticmethod
    def loss(N: Any, D: Any, E: Any, A: Any, alpha: Any, B: Any, beta: Any, g: Any) -> Any:
        """Loss [nat/token]."""
        return E + (A * N ** (-alpha / g) + B * D ** (-beta / g)) ** g

    @staticmethod
    def gradient(N: Any, D: Any, E: Any, A: Any, alpha: Any, B: Any, beta: Any, g: Any) -> list[Any]:
        """Derivatives in order of the parameters."""
        log_n, log_d = np.log(N), np.log(D)
        n_term, d_term = A * np.exp(log_n * (-alpha / g)), B * np.exp(log_d * (-beta / g))
        total = n_term + d_term
        log_total = np.log(total)
        share = n_term / total
        above = np.exp(g * log_total)
        by_n, by_d = above * share, above * (1 - share)
        by_g = above * log_total + (by_n * alpha * log_n + by_d * beta * log_d) / g
        return [np.ones_like(above), by_n * g / A, -by_n * log_n, by_d * g / B, -by_d * log_d, by_g]

    @staticmethod
    def rescale(params: dict[str, Any], units: dict[str, float]) -> dict[str, Any]:
        """Parameters for N and D measured in `units`."""
        scaled = dict(params)
        scaled["A"] = params["A"] * units["N"] ** (-params["alpha"] / params["g"])
        scaled["B"] = params["B"] * units["D"] ** (-params["beta"] / params["g"])
        return scaled

    #: The coupling bends long valleys apart: more of them are walked down.
    n_starts = 24
    coupling = "g"
    shared_prior = True

    @staticmethod
    def starts(columns: dict[str, Array], loss: Array) -> Array:
        """Linear in A and B once the rest is given: (L - E)^(1/g) = A N^(-alpha/g) + B D^(-beta/g)."""
        alpha, beta, g, share = (_NODES[:, i : i + 1] for i in range(4))
        floor = share * loss.min()
        above = loss - floor
        # Rows are divided by the target and weighted so that their residuals are those of the log loss.
        weight = g * above / loss
        n_term = np.exp(-(alpha * np.log(columns["N"]) + np.log(above)) / g) * weight
        d_term = np.exp(-(beta * np.log(columns["D"]) + np.log(above)) / g) * weight
        nn, dd, nd = (n_term**2).sum(1), (d_term**2).sum(1), (n_term * d_term).sum(1)
        n1, d1 = (n_term * weight).sum(1), (d_term * weight).sum(1)
        size = np.maximum(nn * dd - nd**2, 1e-12 * nn * dd)
        a, b = (dd * n1 - nd * d1) / size, (nn * d1 - nd * n1) / size
        a, b = np.where(b < 0, n1 / nn, a), np.where(a < 0, d1 / dd, b)
        # A component that is off would never come back in logarithms: leave it a little of what it would need alone.
        a, b = np.maximum(a, 1e-4 * n1 / nn), np.maximum(b, 1e-4 * d1 / dd)
        return np.column_stack([np.maximum(floor[:, 0], 1e-9), a, alpha[:, 0], b, beta[:, 0], g[:, 0]])

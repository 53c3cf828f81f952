"""The joint law of Kaplan et al. (2020)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden

_ALPHAS = tuple(float(value) for value in np.geomspace(0.02, 0.8, 8))


class Kaplan(Law):
    r"""Joint law in parameters and tokens without a floor [1]_.

    .. math:: L(N, D) = \left[(N_c/N)^{\alpha_N/\alpha_D} + D_c/D\right]^{\alpha_D}

    ``N`` counts parameters without embeddings [parameters], ``D`` training tokens [tokens]; loss in [nat/token].

    References
    ----------
    .. [1] Kaplan et al. (2020), Scaling Laws for Neural Language Models, arXiv:2001.08361, eq. 1.5.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("kaplan", "kaplan2020").predict(N=1.5e9, D=22e9), 3)
    2.313
    """

    inputs = ("N", "D")
    exponents = {"N": ("alpha_N",), "D": ("alpha_D",)}
    formula = "L(N, D) = ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D"

    N_c = Parameter("model-size scale", (1e-30, 1e60), (1e12, 6e13, 1e15), unit="parameters", log=True, own=True)
    alpha_N = Parameter("model-size exponent", (1e-4, 3.0), (0.05, 0.076, 0.2))
    D_c = Parameter("data scale", (1e-30, 1e60), (1e12, 2e13, 1e15), unit="tokens", log=True, own=True)
    alpha_D = Parameter("data exponent", (1e-4, 3.0), (0.05, 0.1, 0.2))

    published = (
        Constants(
            "kaplan2020",
            dict(N_c=6.4e13, alpha_N=0.076, D_c=1.8e13, alpha_D=0.103),
            source="Kaplan et al. (2020), arXiv:2001.08361, table 2",
            N=(3.9e5, 7.1e8),
            D=(2.1e7, 2.2e10),
            params="non_embedding",
            corpus="WebText2, GPT-2 BPE",
            golden=(Golden(dict(N=1.5e9, D=2.2e10), 2.3125485),),
        ),
        Constants(
            "ouyang2024_pythia16",
            dict(N_c=4.74e19, alpha_N=0.045, D_c=7.63e10, alpha_D=0.399),
            source="Ouyang et al. (2024), arXiv:2411.17691, fig. 6: Pythia in 16 bits",
            params="non_embedding",
            by_key_only=True,
            remark="That N leaves out embeddings is inferred. `low_bit` predicts what fewer bits add.",
            golden=(Golden(dict(N=1e9, D=3e11), 3.0418891, 1e-7),),
        ),
    )
    bibtex = (
        "@article{kaplan2020scaling, title={Scaling Laws for Neural Language Models}, "
        "author={Kaplan, Jared and others}, journal={arXiv:2001.08361}, year={2020}}"
    )

    @staticmethod
    def loss(N: Any, D: Any, N_c: Any, alpha_N: Any, D_c: Any, alpha_D: Any) -> Any:
        """Loss [nat/token]."""
        return ((N_c / N) ** (alpha_N / alpha_D) + D_c / D) ** alpha_D

    @staticmethod
    def gradient(N: Any, D: Any, N_c: Any, alpha_N: Any, D_c: Any, alpha_D: Any) -> list[Any]:
        """Derivatives in order of the parameters."""
        log_n = np.log(N_c / N)
        n_term, d_term = np.exp(log_n * (alpha_N / alpha_D)), D_c / D
        total = n_term + d_term
        loss = total**alpha_D
        share = loss * n_term / total
        return [
            share * alpha_N / N_c,
            share * log_n,
            loss * alpha_D / (total * D),
            loss * np.log(total) - share * log_n * (alpha_N / alpha_D),
        ]

    @staticmethod
    def rescale(params: dict[str, Any], units: dict[str, float]) -> dict[str, Any]:
        """Parameters for N and D measured in `units`."""
        return {**params, "N_c": params["N_c"] / units["N"], "D_c": params["D_c"] / units["D"]}

    @staticmethod
    def starts(columns: dict[str, Array], loss: Array) -> Array:
        """Linear in two coefficients once the exponents are given: L^(1/alpha_D) = a N^(-alpha_N/alpha_D) + b/D."""
        rows = []
        for alpha_D in _ALPHAS:
            for alpha_N in _ALPHAS:
                target = (loss / loss.min()) ** (1.0 / alpha_D)
                basis = np.stack([columns["N"] ** (-alpha_N / alpha_D), 1.0 / columns["D"]]) / target
                basis = np.where(np.isfinite(basis), basis, 0.0)
                a, b = np.linalg.lstsq(basis.T, np.ones_like(loss), rcond=None)[0]
                # loss.min() rescales the target: undo it in both coefficients, and keep them positive.
                unit = loss.min() ** (1.0 / alpha_D)
                a, b = max(a * unit, 1e-12 * unit), max(b * unit, 1e-12 * unit)
                rows.append((a ** (alpha_D / alpha_N), alpha_N, b, alpha_D))
        return np.asarray(rows)

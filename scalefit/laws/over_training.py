"""The over-training law of Gadre et al. (2024)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Constants, Law, Parameter, Usual

_SOURCE = (
    "Gadre et al. (2024), arXiv:2403.08540; re-fitted with the authors' code (mlfoundations/scaling) on their "
    "published runs, {} validation"
)


class OverTraining(Law):
    r"""One exponent for parameters and tokens, so that over-training shifts the law and keeps its slope [1]_.

    .. math:: L(C, M) = E + (a\,M^{\eta} + b\,M^{-\eta})\,C^{-\eta}, \quad C = 6 N D, \; M = D/N

    written, as the authors' code writes it, in N and D with :math:`\alpha = 2\eta`:
    :math:`L = E + A\,N^{-\alpha} + B\,(\sqrt{6}\,D)^{-\alpha}`. ``N`` [parameters], ``D`` [tokens], loss [nat/token].

    References
    ----------
    .. [1] Gadre et al. (2024), Language models scale reliably with over-training and on downstream tasks,
       arXiv:2403.08540, eq. 4.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("over_training", "gadre2024_c4").predict(N=1.4e9, D=28e9), 3)
    2.644
    """

    inputs = ("N", "D")
    exponents = {"N": ("alpha",), "D": ("alpha",)}
    formula = "L(N, D) = E + A N^-alpha + B (sqrt(6) D)^-alpha"

    E = Usual.E
    A = Parameter("model-size coefficient", (0.0, 1e20), (10.0, 120.0, 1e4), log=True, linear=True, own=True)
    B = Parameter("data coefficient", (0.0, 1e20), (10.0, 200.0, 1e4), log=True, linear=True, own=True)
    alpha = Parameter("exponent of both, 2 eta", (0.0, 3.0))

    published = tuple(
        Constants(
            f"gadre2024_{key}",
            dict(E=E, A=A, B=B, alpha=alpha),
            source=_SOURCE.format("C4"),
            N=(1.1e7, 6.9e9),
            D=(2e8, 9e11),
            corpus=f"{corpus}, GPT-NeoX tokenizer; loss on C4 validation",
        )
        for key, corpus, A, B, alpha, E in (
            ("c4", "C4", 113.69260, 189.51552, 0.24247224, 1.50826054),
            ("redpajama", "RedPajama", 166.21099, 366.68720, 0.27285071, 1.83664841),
            ("refinedweb", "RefinedWeb", 125.09570, 246.20669, 0.25439484, 1.73446209),
        )
    )

    bibtex = (
        "@article{gadre2024language, "
        "title={Language models scale reliably with over-training and on downstream tasks}, "
        "author={Gadre, Samir Yitzhak and others}, journal={arXiv:2403.08540}, year={2024}}"
    )

    @staticmethod
    def loss(N: Any, D: Any, E: Any, A: Any, B: Any, alpha: Any) -> Any:
        """Loss [nat/token]."""
        return E + A * N**-alpha + B * (np.sqrt(6.0) * D) ** -alpha

    @staticmethod
    def gradient(N: Any, D: Any, E: Any, A: Any, B: Any, alpha: Any) -> list[Any]:
        """Derivatives in order of the parameters."""
        log_n, log_d = np.log(N), np.log(np.sqrt(6.0) * D)
        n_power, d_power = np.exp(-alpha * log_n), np.exp(-alpha * log_d)
        return [np.ones_like(n_power), n_power, d_power, -A * log_n * n_power - B * log_d * d_power]

    @staticmethod
    def rescale(params: dict[str, Any], units: dict[str, float]) -> dict[str, Any]:
        """Parameters for N and D measured in `units`."""
        scaled = dict(params)
        scaled["A"] = params["A"] * units["N"] ** -params["alpha"]
        scaled["B"] = params["B"] * units["D"] ** -params["alpha"]
        return scaled

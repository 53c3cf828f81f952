"""The law of mixtures of experts of Yun et al. (2024)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Law, Parameter
from scalefit.laws._forms import effective_experts


class InferenceMoE(Law):
    r"""Sum of powers of size, experts and data, with a term by which experts gain less at larger size [1]_.

    .. math::
        \lg L = \lg\left(\frac{A}{N^{\alpha}} + \frac{B}{\hat e^{b}} + \frac{C}{D^{\beta}} + F\right) +
        d \lg N \lg \hat e, \quad 1/\hat e = \frac{1}{e - 1 + (1/s - 1/m)^{-1}} + 1/m

    ``N`` counts the parameters that a token uses [parameters], ``D`` tokens [tokens], e is ``n_experts``, s
    ``E_start`` and m ``E_max``, as in ``routed``; loss in [nat/token]. Constants were not found in print: none are
    shipped.

    References
    ----------
    .. [1] Yun et al. (2024), Toward Inference-optimal Mixture-of-Expert Large Language Models, arXiv:2404.02852.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.laws.get("inference_moe")
    >>> round(float(law.evaluate({"N": 1e9, "D": 2e10, "n_experts": 8}, law.example())), 3)
    1.894
    """

    name = "inference_moe"
    inputs = ("N", "D", "n_experts")
    exponents = {"N": ("alpha",), "D": ("beta",), "n_experts": ("b",)}
    formula = "L(N, D, e) = (A N^-alpha + B e^-b + C D^-beta + F) 10^(d lg N lg e)"
    direction = {"N": 0, "n_experts": 0}

    F = Parameter("irreducible loss", (0.0, 20.0), (0.5, 1.4, 3.0), unit="nat/token", log=True, linear=True, own=True)
    A = Parameter("model-size coefficient", (0.0, 1e20), (10.0, 400.0, 1e4), log=True, linear=True, own=True)
    alpha = Parameter("model-size exponent", (0.0, 3.0))
    B = Parameter("coefficient of experts", (0.0, 1e3), (0.03, 0.2, 1.0), log=True, linear=True, own=True)
    b = Parameter("exponent of experts", (0.0, 5.0), (0.2, 0.5, 1.0))
    C = Parameter("data coefficient", (0.0, 1e20), (10.0, 400.0, 1e4), log=True, linear=True, own=True)
    beta = Parameter("data exponent", (0.0, 3.0))
    d = Parameter("what size takes from the gain of experts", (-0.2, 0.2), (-0.002, 0.001, 0.004))
    E_start = Parameter("experts that pay from", (1.0, 100.0), (1.5, 2.0, 4.0), log=True)
    E_max = Parameter("experts that saturate at", (100.0, 1e6), (150.0, 300.0, 1000.0), log=True)

    #: Experts that saturate early or late bend the table alike: more basins than three starts see.
    n_starts = 24

    bibtex = (
        "@article{yun2024toward, title={Toward Inference-optimal Mixture-of-Expert Large Language Models}, "
        "author={Yun, Longfei and others}, journal={arXiv:2404.02852}, year={2024}}"
    )

    @staticmethod
    def loss(
        N: Any,
        D: Any,
        n_experts: Any,
        F: Any,
        A: Any,
        alpha: Any,
        B: Any,
        b: Any,
        C: Any,
        beta: Any,
        d: Any,
        E_start: Any,
        E_max: Any,
    ) -> Any:
        """Loss [nat/token]."""
        e = effective_experts(n_experts, E_start, E_max)
        return (A * N**-alpha + B * e**-b + C * D**-beta + F) * 10.0 ** (d * np.log10(N) * np.log10(e))

"""The law of domain-specific continued pretraining of Que et al. (2024)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Law, Parameter, Usual
from scalefit.laws._declarations import Input


class DCPT(Law):
    r"""Chinchilla's law with the share of domain text in the mixture [1]_.

    .. math:: L = E + A\,N^{-\alpha} + B\,r^{\eta} D^{-\beta} + C\,(r + \epsilon)^{-\gamma}

    ``N`` [parameters], ``D`` tokens of continued pretraining [tokens], r is ``domain_share``, which may be 0; loss
    in [nat/token]. Constants of its six domains were not found in an open source: none are shipped.

    References
    ----------
    .. [1] Que et al. (2024), D-CPT Law: Domain-specific Continual Pre-Training Scaling Law, arXiv:2406.01375.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.laws.get("d_cpt")
    >>> round(float(law.loss(1e9, 1e10, 0.5, 1.0, 400.0, 0.34, 400.0, 0.28, 0.2, 0.3, 0.1, 0.5)), 3)
    2.288
    """

    name = "d_cpt"
    inputs = ("N", "D", "domain_share")
    exponents = {"N": ("alpha",), "D": ("beta",), "domain_share": ("gamma",)}
    formula = "L(N, D, r) = E + A N^-alpha + B r^eta D^-beta + C (r + eps)^-gamma"
    direction = {"domain_share": 0}
    domain_share = Input(
        "share of domain text",
        ("domain_share", "r", "mixture_ratio"),
        range=(0, 1),
        typical=(0, 0.1, 0.3, 0.6, 1.0),
        zero=True,
    )

    E = Usual.E
    A = Usual.A
    alpha = Usual.alpha
    B = Usual.B
    beta = Usual.beta
    eta = Parameter("what domain text does to the data term", (0.0, 5.0), (0.1, 0.2, 0.5))
    C = Parameter(
        "coefficient of the share", (0.0, 1e6), (0.1, 0.3, 1.0), unit="nat/token", log=True, linear=True, own=True
    )
    eps = Parameter("share that general text is worth", (1e-4, 10.0), (0.03, 0.1, 0.3), log=True)
    gamma = Parameter("exponent of the share", (0.0, 3.0), (0.2, 0.5, 1.0))

    bibtex = (
        "@article{que2024dcpt, title={D-CPT Law: Domain-specific Continual Pre-Training Scaling Law for "
        "Large Language Models}, author={Que, Haoran and others}, journal={arXiv:2406.01375}, "
        "year={2024}}"
    )

    @staticmethod
    def loss(
        N: Any,
        D: Any,
        domain_share: Any,
        E: Any,
        A: Any,
        alpha: Any,
        B: Any,
        beta: Any,
        eta: Any,
        C: Any,
        eps: Any,
        gamma: Any,
    ) -> Any:
        """Loss [nat/token]."""
        share = np.where(domain_share > 0, np.maximum(domain_share, 1e-300) ** eta, 0.0)
        return E + A * N**-alpha + B * share * D**-beta + C * (domain_share + eps) ** -gamma

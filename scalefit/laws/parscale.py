"""The parallel scaling law of Chen et al. (2025)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Constants, Law, Parameter, Usual
from scalefit.laws._declarations import Golden, Input


class ParScale(Law):
    r"""Parallel streams through one model count as a logarithmic growth of its parameters [1]_.

    .. math:: L = E + \left(\frac{A}{N\,(k \ln P + 1)}\right)^{\alpha}

    ``N`` counts parameters outside the embeddings [parameters], P is ``streams``; one amount of data; loss in
    [nat/token].

    References
    ----------
    .. [1] Chen et al. (2025), Parallel Scaling Law for Language Models, arXiv:2505.10475.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("parscale", "ours_pile").predict(N=1e9, streams=4), 4)
    1.9635
    """

    name = "parscale"
    inputs = ("N", "streams")
    exponents = {"N": ("alpha",)}
    formula = "L(N, P) = E + (A / (N (k ln P + 1)))^alpha"
    streams = Input(
        "parallel streams",
        ("streams", "p", "parallel_streams"),
        range=(1, 1024),
        typical=(1, 2, 4, 8),
        optional=1.0,
        integer=True,
    )

    E = Usual.E
    A = Parameter("size scale", (1e-3, 1e30), (1e6, 1e8, 1e10), unit="parameters", log=True, own=True)
    alpha = Parameter("size exponent", (0.0, 3.0), (0.1, 0.2, 0.4))
    k = Parameter("gain per e-fold of streams", (0.0, 10.0), (0.1, 0.3, 0.6))

    published = (
        Constants(
            "ours_pile",
            dict(E=1.2886, A=1.975e8, alpha=0.1963, k=0.3344),
            source="fitted by scalefit to the 24 runs in the authors' repository (QwenLM/ParScale, arXiv:2505.10475)",
            params="non_embedding",
            evidence="refit",
            corpus="Pile",
            golden=(Golden(dict(N=1e9, streams=4), 1.9635256, 1e-5),),
        ),
        Constants(
            "ours_stack",
            dict(E=0.6912, A=1.131e7, alpha=0.1894, k=0.3935),
            source="fitted by scalefit to the 24 runs in the authors' repository (QwenLM/ParScale, arXiv:2505.10475)",
            params="non_embedding",
            evidence="refit",
            corpus="Stack-V2 (Python)",
        ),
    )
    bibtex = (
        "@article{chen2025parallel, title={Parallel Scaling Law for Language Models}, author={Chen, "
        "Mouxiang and others}, journal={arXiv:2505.10475}, year={2025}}"
    )

    @staticmethod
    def loss(N: Any, streams: Any, E: Any, A: Any, alpha: Any, k: Any) -> Any:
        """Loss [nat/token]."""
        return E + (A / (N * (k * np.log(streams) + 1.0))) ** alpha

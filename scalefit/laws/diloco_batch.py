"""The best batch of communication-efficient training of Charles et al. (2025)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Target
from scalefit.laws.diloco import DiLoCo


class DiLoCoBatch(Law):
    r"""Batch by size and the replicas that train apart, at 20 tokens per parameter [1]_.

    .. math:: B = c\,N^{b} M^{m}

    ``N`` [parameters], M is ``replicas``. The paper does not state the unit of B; that they are sequences of 2,048
    tokens is inferred. A setting: there is nothing to minimise.

    References
    ----------
    .. [1] Charles et al. (2025), Communication-Efficient Language Model Training Scales Reliably and Robustly,
       arXiv:2503.09799, table 10.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("diloco_batch", "charles2025").predict(N=2.4e9, replicas=1), 1)
    179.7
    """

    name = "diloco_batch"
    inputs = ("N", "replicas")
    formula = "batch(N, M) = c N^b M^m"
    target = Target("batch_sequences", "sequences", sense=0, names=("batch", "batch_size"))
    direction = {"N": 0, "replicas": 0}
    replicas = replace(DiLoCo.replicas, optional=1.0)

    c = Parameter("coefficient", (0.0, 1e20), (1e-3, 0.01, 0.2), log=True, linear=True, own=True)
    b = Parameter("exponent of size", (-2.0, 2.0), (0.25, 0.4, 0.5))
    m = Parameter("exponent of replicas", (-2.0, 2.0), (0.0, 0.3, 0.5))

    published = (
        Constants(
            "charles2025",
            dict(c=0.00709, b=0.4695, m=0.3399),
            source="Charles et al. (2025), arXiv:2503.09799, table 10: DiLoCo",
            N=(3.5e7, 2.4e9),
            remark="In sequences of 2,048 tokens: inferred, not stated.",
            golden=(Golden(dict(N=2.4e9, replicas=1), 179.74442, 1e-7),),
        ),
        Constants(
            "charles2025_dp",
            dict(c=0.22592, b=0.281, m=0.0),
            source="Charles et al. (2025), arXiv:2503.09799, data-parallel training",
            N=(3.5e7, 2.4e9),
            remark="In sequences of 2,048 tokens: inferred, not stated. Without replicas.",
            ranges={"replicas": (1, 1)},
        ),
    )
    bibtex = DiLoCo.bibtex

    @staticmethod
    def loss(N: Any, replicas: Any, c: Any, b: Any, m: Any) -> Any:
        """Batch [sequences]."""
        return c * N**b * replicas**m

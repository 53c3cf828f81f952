"""The best learning rate of communication-efficient training of Charles et al. (2025)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Target
from scalefit.laws.diloco import DiLoCo


class DiLoCoLR(Law):
    r"""Learning rate by size and the replicas that train apart, at 20 tokens per parameter [1]_.

    .. math:: \eta = c\,N^{-a} M^{m}

    ``N`` [parameters], M is ``replicas``. A setting: there is nothing to minimise.

    References
    ----------
    .. [1] Charles et al. (2025), Communication-Efficient Language Model Training Scales Reliably and Robustly,
       arXiv:2503.09799, table 10.

    Examples
    --------
    >>> import scalefit as sf
    >>> f'{sf.published("diloco_lr", "charles2025").predict(N=1e9, replicas=4):.2e}'
    '3.80e-04'
    """

    name = "diloco_lr"
    inputs = ("N", "replicas")
    formula = "lr(N, M) = c N^-a M^m"
    target = Target("lr", "-", sense=0, names=("learning_rate", "max_lr", "peak_lr"))
    direction = {"N": 0, "replicas": 0}
    replicas = replace(DiLoCo.replicas, optional=1.0)

    c = Parameter("coefficient", (0.0, 1e20), (1e3, 2e4, 1e5), log=True, linear=True, own=True)
    a = Parameter("exponent of size", (-3.0, 3.0), (0.6, 0.85, 1.0))
    m = Parameter("exponent of replicas", (-2.0, 2.0), (0.0, 0.3, 0.5))

    published = (
        Constants(
            "charles2025",
            dict(c=22256.0, a=0.8827, m=0.2929),
            source="Charles et al. (2025), arXiv:2503.09799, table 10: DiLoCo",
            N=(3.5e7, 2.4e9),
        ),
        Constants(
            "charles2025_dp",
            dict(c=16319.2, a=0.819, m=0.0),
            source="Charles et al. (2025), arXiv:2503.09799, data-parallel training",
            N=(3.5e7, 2.4e9),
            remark="Without replicas.",
            ranges={"replicas": (1, 1)},
        ),
    )
    bibtex = DiLoCo.bibtex

    @staticmethod
    def loss(N: Any, replicas: Any, c: Any, a: Any, m: Any) -> Any:
        """Learning rate [-]."""
        return c * N**-a * replicas**m

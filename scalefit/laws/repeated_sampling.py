"""Coverage by repeated sampling, of Brown et al. (2024)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Law, Parameter
from scalefit.laws._declarations import Input, Target


class RepeatedSampling(Law):
    r"""Share of problems solved by any of several attempts, as an exponentiated power [1]_.

    .. math:: c = e^{-a\,k^{-b}}

    k is ``attempts`` per problem; the coverage is a share between 0 and 1.

    References
    ----------
    .. [1] Brown et al. (2024), Large Language Monkeys: Scaling Inference Compute with Repeated Sampling,
       arXiv:2407.21787.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.laws.get("repeated_sampling")
    >>> round(float(law.loss(250.0, 1.84, 0.21)), 2)
    0.56
    """

    name = "repeated_sampling"
    inputs = ("attempts",)
    formula = "c(k) = e^(-a k^-b)"
    target = Target("coverage", sense=1, range=(0.0, 1.0), scale="linear", names=("pass_at_k",))
    direction = {"attempts": 1}
    attempts = Input(
        "attempts per problem", ("attempts", "k", "samples"), typical=(1, 10, 100, 1000, 10000), range=(1, 1e12)
    )

    a = Parameter("minus the log of the coverage of one attempt", (0.0, 100.0), (0.5, 1.5, 4.0), log=True, own=True)
    b = Parameter("exponent", (0.0, 3.0), (0.1, 0.3, 0.6))

    bibtex = (
        "@article{brown2024large, title={Large Language Monkeys: Scaling Inference Compute with "
        "Repeated Sampling}, author={Brown, Bradley and others}, journal={arXiv:2407.21787}, "
        "year={2024}}"
    )

    @staticmethod
    def loss(attempts: Any, a: Any, b: Any) -> Any:
        """Coverage, a share between 0 and 1 [-]."""
        return np.exp(-a * attempts**-b)

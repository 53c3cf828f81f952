"""How well models of each size learn by reinforcement, of arXiv:2509.25300 (2025)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Law, Parameter
from scalefit.laws._declarations import Input, Target


class RLEfficiency(Law):
    r"""Test loss that falls as a power of the reinforcement, with an exponent that size saturates [1]_.

    .. math:: \ln L = e - k(N) \ln X, \qquad k(N) = \frac{K_{max}}{1 + N_0 / N}

    ``N`` [parameters]; X is ``rl_amount``, compute [FLOP] or samples of reinforcement learning (the same in the whole
    table). L is a positive test loss, such as the share of tasks that fail. In the paper each size has its own
    intercept e: give the sizes as ``series=`` and fit with ``by="shared"``, which shares K_max and N_0 and fits an e
    per size. Constants were not found in print: none are shipped.

    References
    ----------
    .. [1] arXiv:2509.25300 (2025).

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> N, X = (part.ravel() for part in np.meshgrid([5e8, 1.5e9, 3e9, 7e9], np.geomspace(1e3, 1e5, 6)))
    >>> loss = np.exp(0.1 * np.log(N / 1e9)) * X ** -(0.1 / (1 + 2e9 / N))  # the intercept moves with size
    >>> runs = {"N": N, "rl_amount": X, "test_loss": loss, "series": [f"{n:.1e}" for n in N]}
    >>> result = sf.fit(runs, "rl_efficiency", by="shared")
    >>> f"{result.params['K_max']:.3g}, {result.params['N_0']:.3g}"
    '0.1, 2e+09'
    """

    name = "rl_efficiency"
    inputs = ("N", "rl_amount")
    exponents = {"rl_amount": ("K_max",)}
    formula = "L(N, X) = exp(e) X^-(K_max / (1 + N_0/N))"
    target = Target("test_loss", sense=-1, names=("test_error", "failure_rate"))
    rl_amount = Input(
        "compute or samples of reinforcement learning",
        ("rl_amount", "rl_samples", "rl_flops"),
        range=(1, float("inf")),
        typical=(1e3, 1e4, 1e5, 1e6),
    )

    e = Parameter("logarithm of the loss before any reinforcement", (-50.0, 50.0), (-1.0, 0.0, 1.0), own=True)
    K_max = Parameter("exponent of an endless model", (0.0, 3.0), (0.05, 0.1, 0.3))
    N_0 = Parameter("size at half of that exponent", (1e3, 1e15), (3e8, 2e9, 1e10), unit="parameters", log=True)

    # Neither the title nor the authors were at hand when this was written.
    bibtex = "@article{rl2025efficiency, title={arXiv:2509.25300}, journal={arXiv:2509.25300}, year={2025}}"

    @staticmethod
    def loss(N: Any, rl_amount: Any, e: Any, K_max: Any, N_0: Any) -> Any:
        """Test loss [-]."""
        return np.exp(e - K_max / (1.0 + N_0 / N) * np.log(rl_amount))

"""The law of reward over-optimisation of Gao et al. (2022), for best-of-n."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Law, Parameter
from scalefit.laws._declarations import Input, Target


class RewardOveroptimisation(Law):
    r"""Gold reward that rises, then falls, with the square root of the divergence from the initial policy [1]_.

    .. math:: R = d\,(a - b\,d), \quad d = \sqrt{\mathrm{KL}}

    KL is ``kl`` between the policy and the initial one [nat], ln n - (n - 1)/n for the best of n; the reward may be
    zero or negative and peaks at d = a/2b.

    References
    ----------
    .. [1] Gao, Schulman and Hilton (2022), Scaling Laws for Reward Model Overoptimization, arXiv:2210.10760.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.laws.get("reward_overoptimisation")
    >>> round(float(law.loss(4.0, 1.0, 0.1)), 2)
    1.6
    >>> n = 1000
    >>> kl = np.log(n) - (n - 1) / n
    >>> round(float(kl), 4), round(float(law.loss(kl, 1.0, 0.1)), 3)
    (5.9088, 1.84)
    """

    name = "reward_overoptimisation"
    inputs = ("kl",)
    formula = "R(KL) = d (a - b d), d = sqrt(KL)"
    target = Target("reward", sense=1, range=(-1e9, 1e9), scale="linear", names=("gold_reward",))
    direction = {"kl": 0}
    kl = Input("divergence from the start", ("kl", "kl_divergence"), "nat", typical=(0, 0.5, 2, 6, 20), zero=True)

    a = Parameter("slope at the start", (-1e6, 1e6), (0.3, 1.0, 3.0), own=True)
    b = Parameter("over-optimisation", (-1e6, 1e6), (0.03, 0.1, 0.3), own=True)

    bibtex = (
        "@article{gao2022scaling, title={Scaling Laws for Reward Model Overoptimization}, author={Gao, "
        "Leo and others}, journal={arXiv:2210.10760}, year={2022}}"
    )

    @staticmethod
    def loss(kl: Any, a: Any, b: Any) -> Any:
        """Gold reward relative to that of the initial policy [reward]."""
        d = np.sqrt(kl)
        return d * (a - b * d)

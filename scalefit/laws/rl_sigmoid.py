"""The law of reinforcement learning of Khatri et al. (2025)."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Input, Target

_SOURCE = "Khatri et al. (2025), arXiv:2510.13786, table 1; R_0 set to 0 here"
_REMARK = (
    "In GB200 GPU hours, fitted from 1,500 hours on; R_max is known to .02. The pass rate at the start is the user's: "
    "give it."
)


class RLSigmoid(Law):
    r"""Pass rate as a sigmoid of the logarithm of compute [1]_.

    .. math:: R = R_0 + \frac{R_{max} - R_0}{1 + (C_{mid}/C)^{s}}

    C is ``gpu_hours`` of reinforcement learning; the reward is a pass rate between 0 and 1.

    References
    ----------
    .. [1] Khatri et al. (2025), The Art of Scaling Reinforcement Learning Compute for LLMs, arXiv:2510.13786,
       table 1.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("rl_sigmoid", "khatri2025_8b").predict(gpu_hours=1e5), 5)
    0.60947
    """

    name = "rl_sigmoid"
    inputs = ("gpu_hours",)
    formula = "R(C) = R_0 + (R_max - R_0) / (1 + (C_mid/C)^s)"
    target = Target("pass_rate", sense=1, range=(0.0, 1.0), scale="linear", names=("reward", "mean_reward"))
    direction = {"gpu_hours": 1}
    gpu_hours = Input(
        "compute of reinforcement learning", ("gpu_hours", "c_rl"), "GPU hours", typical=(1e2, 1e3, 1e4, 1e5)
    )

    R_0 = Parameter("pass rate before training", (0.0, 1.0), (0.0, 0.1, 0.3), own=True)
    R_max = Parameter("pass rate with endless compute", (0.0, 1.0), (0.5, 0.65, 0.9), own=True)
    C_mid = Parameter(
        "compute at half of the gain", (1e-6, 1e15), (300.0, 3e3, 3e4), unit="GPU hours", log=True, own=True
    )
    s = Parameter("steepness", (0.05, 20.0), (0.8, 1.7, 3.0), log=True)

    published = (
        Constants(
            "khatri2025_8b",
            dict(R_0=0.0, R_max=0.61, C_mid=2542, s=1.92),
            source=_SOURCE,
            params="total",
            evidence="review",
            remark=_REMARK,
            golden=(Golden(dict(gpu_hours=1e5), 0.60947169, 1e-7),),
        ),
        Constants(
            "khatri2025_bs512",
            dict(R_0=0.0, R_max=0.605, C_mid=2818, s=1.77),
            source=_SOURCE,
            params="total",
            evidence="review",
            remark=_REMARK,
        ),
        Constants(
            "khatri2025_bs2048",
            dict(R_0=0.0, R_max=0.645, C_mid=10909, s=1.7),
            source=_SOURCE,
            params="total",
            evidence="review",
            remark=_REMARK,
            golden=(Golden(dict(gpu_hours=1e5), 0.63041649, 1e-7),),
        ),
        Constants(
            "khatri2025_32k",
            dict(R_0=0.0, R_max=0.645, C_mid=11272, s=1.89),
            source=_SOURCE,
            params="total",
            evidence="review",
            remark=_REMARK,
        ),
        Constants(
            "khatri2025_scout",
            dict(R_0=0.0, R_max=0.71, C_mid=4242, s=1.65),
            source=_SOURCE,
            params="total",
            evidence="review",
            remark=_REMARK,
        ),
    )
    bibtex = (
        "@article{khatri2025art, title={The Art of Scaling Reinforcement Learning Compute for LLMs}, "
        "author={Khatri, Devvrit and others}, journal={arXiv:2510.13786}, year={2025}}"
    )

    @staticmethod
    def loss(gpu_hours: Any, R_0: Any, R_max: Any, C_mid: Any, s: Any) -> Any:
        """Pass rate, a share between 0 and 1 [-]."""
        return R_0 + (R_max - R_0) / (1.0 + (C_mid / gpu_hours) ** s)

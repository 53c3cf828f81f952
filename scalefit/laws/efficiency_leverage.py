"""The efficiency leverage of mixtures of experts of Tian et al. (2025)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Input, Target
from scalefit.laws._starts import linear_starts


class EfficiencyLeverage(Law):
    r"""How many times its own compute a dense model of the same loss would need [1]_.

    .. math::
        EL = \hat A^{\,a + d \log_{10} C + \gamma (\ln G)^2 + \beta \ln G}, \quad
        1/\hat A = \frac{1}{A + (1/A_s - 1/A_m)^{-1}} + 1/A_m

    A is ``active_share``, the active experts over all, G is ``granularity``, ``C`` compute [FLOP]. The paper does
    not state the bases of its logarithms; these give what it prints.

    References
    ----------
    .. [1] Tian et al. (2025), Towards Greater Leverage, arXiv:2507.17702, eq. 13 and table 2.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("efficiency_leverage").predict(active_share=0.031, granularity=12, C=1e22), 3)
    6.875
    """

    name = "efficiency_leverage"
    inputs = ("active_share", "granularity", "C")
    exponents = {"active_share": ("a",)}
    formula = "EL(A, G, C) = A^(a + d lg C + gamma (ln G)^2 + beta ln G)"
    target = Target("leverage", sense=1, names=("efficiency_leverage",))
    direction = {"active_share": 0, "granularity": 0, "C": 0}
    active_share = Input(
        "active experts over all", ("active_share", "activation_ratio"), range=(1e-4, 1), typical=(0.01, 0.03, 0.1, 0.3)
    )
    granularity = Input(
        "smaller experts that one is split into", ("granularity", "g"), range=(1, 1024), typical=(1, 2, 4, 8, 16)
    )

    a = Parameter("exponent of the active share", (-10.0, 10.0), (0.5, 1.2, 2.0))
    d = Parameter("its change per decade of compute", (-2.0, 2.0), (-0.15, -0.076, 0.0))
    gamma = Parameter("curvature in granularity", (-1.0, 1.0), (0.0, 0.017, 0.05))
    beta = Parameter("slope in granularity", (-2.0, 2.0), (-0.3, -0.12, 0.0))
    A_start = Parameter("share below which nothing is gained", (1e-6, 1.0), (0.005, 0.016, 0.05), log=True)
    A_max = Parameter("share at which it saturates", (1.0, 1e20), (1e3, 1e8, 1e16), log=True)

    published = (
        Constants(
            "tian2025",
            dict(a=1.23, d=-7.61e-2, gamma=1.67e-2, beta=-1.17e-1, A_start=1.63e-2, A_max=5.28e16),
            source="Tian et al. (2025), arXiv:2507.17702, table 2",
            params="total",
            evidence="paper",
            checked='no: 6.87 for its "over 7", and only with logarithms of two bases, which the paper does not state',
            golden=(Golden(dict(active_share=0.031, granularity=12, C=1e22), 6.8745355, 1e-7),),
        ),
    )
    bibtex = (
        "@article{tian2025leverage, title={Towards Greater Leverage: Scaling Laws for Efficient "
        "Mixture-of-Experts Language Models}, author={Tian and others}, journal={arXiv:2507.17702}, "
        "year={2025}}"
    )

    @staticmethod
    def loss(
        active_share: Any, granularity: Any, C: Any, a: Any, d: Any, gamma: Any, beta: Any, A_start: Any, A_max: Any
    ) -> Any:
        """Compute of the dense model of equal loss over the model's own [-]."""
        share = 1.0 / (1.0 / (active_share + 1.0 / (1.0 / A_start - 1.0 / A_max)) + 1.0 / A_max)
        g = np.log(granularity)
        return np.exp(np.log(share) * (a + d * np.log10(C) + gamma * g * g + beta * g))

    @staticmethod
    def starts(columns: dict[str, Array], target: Array) -> Array:
        """Saturation from a grid; the exponent's parts are linear in the log target once it is given."""
        grid = {"A_start": tuple(np.geomspace(1e-4, 0.5, 12)), "A_max": (1.0, 2.0, 10.0, 1e4, 1e16)}
        return linear_starts(EfficiencyLeverage, columns, target, grid)

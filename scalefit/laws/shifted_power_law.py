"""The doubly saturating power law of Zhai et al. (2021)."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Input, Target


class ShiftedPowerLaw(Law):
    r"""A power law of compute that saturates at both ends [1]_.

    .. math:: e = c + a\,(C + d)^{-b}

    C is ``core_days`` on TPUv3 [core-days]; the error is a share between 0 and 1.

    References
    ----------
    .. [1] Zhai et al. (2021), Scaling Vision Transformers, arXiv:2106.04560.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("shifted_power_law", "zhai2021_finetune").predict(core_days=1.0), 4)
    0.3491
    """

    name = "shifted_power_law"
    inputs = ("core_days",)
    exponents = {"core_days": ("b",)}
    formula = "e(C) = c + a (C + d)^-b"
    target = Target("error", sense=-1, range=(0.0, 1.0), names=("error_rate",))
    core_days = Input("compute on TPUv3", ("core_days",), "core-days", typical=(0.1, 1, 10, 100, 1000), zero=True)

    c = Parameter("error with endless compute", (0.0, 1.0), (0.03, 0.1, 0.3), log=True, linear=True, own=True)
    a = Parameter("coefficient", (0.0, 1e3), (0.1, 0.3, 1.0), log=True, linear=True, own=True)
    d = Parameter("compute that no training is worth", (1e-6, 1e6), (0.01, 0.3, 3.0), unit="core-days", log=True)
    b = Parameter("exponent", (0.0, 3.0), (0.2, 0.35, 0.6))

    published = (
        Constants(
            "zhai2021_finetune",
            dict(c=0.09, a=0.26, d=0.01, b=0.35),
            source="Zhai et al. (2021), arXiv:2106.04560, as a review quotes it",
            params="total",
            evidence="review",
            corpus="ViT on JFT-3B; ImageNet, fine-tuned",
            golden=(Golden(dict(core_days=1), 0.34909609, 1e-7),),
        ),
        Constants(
            "zhai2021_10shot",
            dict(c=0.12, a=0.63, d=0.52, b=0.32),
            source="Zhai et al. (2021), arXiv:2106.04560, as a review quotes it",
            params="total",
            evidence="review",
            corpus="ViT on JFT-3B; ImageNet, 10-shot",
        ),
    )
    bibtex = (
        "@article{zhai2021scaling, title={Scaling Vision Transformers}, author={Zhai, Xiaohua and "
        "others}, journal={arXiv:2106.04560}, year={2021}}"
    )

    @staticmethod
    def loss(core_days: Any, c: Any, a: Any, d: Any, b: Any) -> Any:
        """Error, a share between 0 and 1 [-]."""
        return c + a * (core_days + d) ** -b

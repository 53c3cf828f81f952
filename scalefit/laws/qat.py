"""What training at low precision adds to the loss, of Chen et al. (2025)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Law, Parameter
from scalefit.laws._declarations import Input, Target


class QAT(Law):
    r"""Loss that quantisation-aware training adds, which grows with the tokens and with the groups [1]_.

    .. math:: \delta = k\,D^{\gamma_D} (\log_2 G)^{\gamma_G} N^{-\gamma_N}

    ``N`` [parameters], ``D`` tokens [tokens], G is ``group_size``, the numbers that share one scale; the loss
    difference is in [nat/token], of models of one layout of bits. Constants were not found in print: none are shipped.

    References
    ----------
    .. [1] Chen et al. (2025), Scaling Law for Quantization-Aware Training, arXiv:2505.14302.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.laws.get("qat")
    >>> round(float(law.loss(1e9, 1e11, 128, k=0.1, gamma_D=0.08, gamma_G=1.0, gamma_N=0.2)), 5)
    0.08416
    """

    name = "qat"
    inputs = ("N", "D", "group_size")
    formula = "delta(N, D, G) = k D^gamma_D (log2 G)^gamma_G N^-gamma_N"
    target = Target(
        "loss_difference", "nat/token", sense=-1, range=(-20.0, 20.0), scale="linear", names=("delta_loss",)
    )
    direction = {"D": 1, "group_size": 1}
    exponents = {"N": ("gamma_N",), "D": ("gamma_D",), "group_size": ("gamma_G",)}
    group_size = Input(
        "numbers that share one scale", ("group_size", "quant_group_size"), range=(2, 1e9), typical=(32, 64, 128, 256)
    )

    k = Parameter("coefficient", (0.0, 1e6), (0.01, 0.1, 1.0), unit="nat/token", log=True, linear=True, own=True)
    gamma_D = Parameter("exponent of tokens", (0.0, 3.0), (0.03, 0.08, 0.2))
    gamma_G = Parameter("exponent of the log of the group size", (0.0, 5.0), (0.3, 0.8, 1.5))
    gamma_N = Parameter("exponent of size", (0.0, 3.0), (0.1, 0.2, 0.4))

    bibtex = (
        "@article{chen2025qat, title={Scaling Law for Quantization-Aware Training}, author={Chen, Mengzhao and "
        "others}, journal={arXiv:2505.14302}, year={2025}}"
    )

    @staticmethod
    def loss(N: Any, D: Any, group_size: Any, k: Any, gamma_D: Any, gamma_G: Any, gamma_N: Any) -> Any:
        """Loss added by training at low precision [nat/token]."""
        return k * D**gamma_D * np.log2(group_size) ** gamma_G * N**-gamma_N

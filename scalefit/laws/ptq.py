"""What post-training quantisation adds to the loss, of Kumar et al. (2024)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Target


class PTQ(Law):
    r"""Loss that quantising a trained model adds, which grows with the tokens it saw [1]_.

    .. math:: \delta = c\,D^{\gamma_D} N^{-\gamma_N} e^{-P/\gamma}

    ``N`` [parameters], ``D`` tokens [tokens], P is ``post_bits`` [bits]; the loss difference is in [nat/token], and
    may be zero or negative in a table.

    References
    ----------
    .. [1] Kumar et al. (2024), Scaling Laws for Precision, arXiv:2411.04330, eq. 2.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("ptq").predict(N=220e6, D=26e9, post_bits=3), 5)
    0.09559
    """

    name = "ptq"
    inputs = ("N", "D", "post_bits")
    formula = "delta(N, D, P) = c D^gamma_D N^-gamma_N e^(-P/gamma)"
    target = Target(
        "loss_difference", "nat/token", sense=-1, range=(-20.0, 20.0), scale="linear", names=("delta_loss",)
    )
    direction = {"D": 1}
    c = Parameter("coefficient", (0.0, 1e6), (0.01, 0.06, 1.0), unit="nat/token", log=True, linear=True, own=True)
    gamma_D = Parameter("exponent of tokens", (0.0, 3.0), (0.3, 0.5, 0.7))
    gamma_N = Parameter("exponent of size", (0.0, 3.0), (0.2, 0.35, 0.5))
    gamma = Parameter("bits per e-fold", (0.05, 50.0), (0.3, 0.6, 1.5), unit="bits", log=True)

    published = (
        Constants(
            "kumar2024",
            dict(c=0.0598, gamma_D=0.5068, gamma_N=0.3439, gamma=0.5907),
            source="Kumar et al. (2024), arXiv:2411.04330, eq. 2 and appendix",
            params="total",
            evidence="paper",
            N=(3e7, 2.2e8),
            D=(1.5e9, 2.6e10),
            golden=(
                Golden(dict(N=220e6, D=26e9, post_bits=3), 0.095585139, 1e-7),
                Golden(dict(N=220e6, D=26e9, post_bits=4), 0.017586132, 1e-7),
            ),
        ),
    )
    bibtex = (
        "@article{kumar2024scaling, title={Scaling Laws for Precision}, author={Kumar, Tanishq and "
        "others}, journal={arXiv:2411.04330}, year={2024}}"
    )

    @staticmethod
    def loss(N: Any, D: Any, post_bits: Any, c: Any, gamma_D: Any, gamma_N: Any, gamma: Any) -> Any:
        """Loss added by quantisation [nat/token]."""
        return c * D**gamma_D * N**-gamma_N * np.exp(-post_bits / gamma)

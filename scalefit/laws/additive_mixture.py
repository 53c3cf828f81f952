"""The additive law of mixtures of Shukor et al. (2025), at one size and number of tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.laws._base import Law, Parameter
from scalefit.laws._declarations import Shares
from scalefit.laws._mixtures import additive_starts


class AdditiveMixture(Law):
    r"""Loss from shares with an exponent for each domain [1]_.

    .. math:: L(r) = E + \frac{1}{\sum_j C_j r_j^{g_j}}, \qquad \sum_j r_j = 1

    The terms of size and data of [1]_ (eq. 2.4) are constants at one N and D, and part of E here. Two parameters per
    domain: the exponent of a domain whose share hardly varies is not determined. The shares ``r`` may be 0; the loss is
    in [nat/token].

    References
    ----------
    .. [1] Shukor et al. (2025), Scaling Laws for Optimal Data Mixtures, arXiv:2507.09404, eq. 2.4.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.laws.get("additive_mixture:web,code")
    >>> round(float(law.loss((0.75, 0.25), 1.0, (0.5, 1.0), (0.5, 0.5))), 3)
    2.072
    """

    inputs = ("r",)
    objective = "squared"
    formula = "L(r) = E + 1 / (sum_j C_j r_j^g_j)"
    r = Shares("shares of the training domains")

    E = Parameter("floor of the loss", (0.0, 100.0), (0.5, 1.5, 3.0), unit="nat/token", log=True, linear=True, own=True)
    C = Parameter("strength of a domain", (1e-6, 1e6), (0.1, 0.5, 2.0), log=True, each="r", own=True)
    g = Parameter("power of a share", (0.02, 3.0), (0.2, 0.5, 1.0), log=True, each="r", own=True)

    bibtex = (
        "@article{shukor2025scaling, title={Scaling Laws for Optimal Data Mixtures}, author={Shukor, Mustafa and "
        "others}, journal={arXiv:2507.09404}, year={2025}}"
    )

    @staticmethod
    def loss(r: Any, E: Any, C: Any, g: Any) -> Any:
        """Loss [nat/token]."""
        return E + 1 / sum(a * _power(share, b) for share, a, b in zip(r, C, g, strict=True))

    @staticmethod
    def gradient(r: Any, E: Any, C: Any, g: Any) -> list[Any]:
        """Derivatives in order of the parameters."""
        powers = [_power(share, b) for share, b in zip(r, g, strict=True)]
        total = sum(a * power for a, power in zip(C, powers, strict=True))
        down = -1 / total**2
        logs = [np.log(np.where(share > 0, share, 1.0)) for share in r]
        slopes = [down * a * power * log for a, power, log in zip(C, powers, logs, strict=True)]
        return [np.ones_like(down), [down * power for power in powers], slopes]

    @staticmethod
    def in_shares(r: Any, E: Any, C: Any, g: Any) -> tuple[Any, Any, Any]:
        """Loss, gradient and Hessian in the shares."""
        total = sum(a * _power(share, b) for share, a, b in zip(r, C, g, strict=True))
        slopes = np.stack([a * b * _power(share, b - 1) for share, a, b in zip(r, C, g, strict=True)])
        bends = np.stack([a * b * (b - 1) * _power(share, b - 2) for share, a, b in zip(r, C, g, strict=True)])
        cross, at = 2 * slopes[:, None] * slopes / total**3, np.arange(len(r))
        cross[at, at] -= bends / total**2
        return E + 1 / total, -slopes / total**2, cross

    n_starts = 8

    @staticmethod
    def starts(columns: dict[str, Array], loss: Array) -> Array:
        """Non-negative weights of 1 / (L - E) for several E and exponents."""
        return additive_starts(columns, loss)


def _power(share: Any, exponent: Any) -> Any:
    """Power of a share, nothing at 0."""
    return np.where(np.real(share) > 0, np.where(np.real(share) > 0, share, 1.0) ** exponent, 0.0)

"""Training domains as substitutes for one another: a power law in a weighted sum of their shares."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.laws._base import Law, Parameter
from scalefit.laws._declarations import Shares
from scalefit.laws._mixtures import effective_starts


class EffectiveMixture(Law):
    r"""Power law in effective data, to which a token of each domain adds its worth [1]_.

    .. math:: L(r) = E + A \Big(\sum_j w_j r_j\Big)^{-g}, \qquad \sum_j r_j = 1

    ``w`` is what a token of a domain is worth for this loss, in tokens of a reference domain, whose w is 1: a fit takes
    the domain that lowers the loss most and names it. The shares ``r`` may be 0. The joint law of [1]_ (eq. 2.5) has
    such a blend in its terms of size and of data; at one N and D they are constants, and one of them is kept. The loss
    [nat/token] is of models of one size and number of tokens.

    References
    ----------
    .. [1] Shukor et al. (2025), Scaling Laws for Optimal Data Mixtures, arXiv:2507.09404, eq. 2.5.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.laws.get("effective_mixture:web,code")
    >>> round(float(law.loss((0.8, 0.2), 1.0, 1.0, 0.3, (0.05, 1.0))), 3)  # on code
    2.534
    """

    inputs = ("r",)
    objective = "squared"
    formula = "L(r) = E + A (sum_j w_j r_j)^-g"
    r = Shares("shares of the training domains")

    E = Parameter("floor of the loss", (0.0, 100.0), (0.5, 1.5, 3.0), unit="nat/token", log=True, linear=True, own=True)
    A = Parameter("loss to gain", (1e-6, 1e6), (0.3, 1.0, 3.0), unit="nat/token", log=True, linear=True, own=True)
    g = Parameter("exponent of effective data", (0.01, 10.0), (0.1, 0.3, 1.0), log=True, own=True)
    w = Parameter("worth of a token", (0.0, 1e4), (0.01, 0.2, 1.0), each="r", reference=1.0, own=True)

    bibtex = (
        "@article{shukor2025scaling, title={Scaling Laws for Optimal Data Mixtures}, author={Shukor, Mustafa and "
        "others}, journal={arXiv:2507.09404}, year={2025}}"
    )

    @staticmethod
    def loss(r: Any, E: Any, A: Any, g: Any, w: Any) -> Any:
        """Loss [nat/token]."""
        return E + A * sum(worth * share for worth, share in zip(w, r, strict=True)) ** -g

    @staticmethod
    def gradient(r: Any, E: Any, A: Any, g: Any, w: Any) -> list[Any]:
        """Derivatives in order of the parameters."""
        total = sum(worth * share for worth, share in zip(w, r, strict=True))
        power = total**-g
        down = -g * A * power / total
        return [np.ones_like(power), power, -A * power * np.log(total), [down * share for share in r]]

    @staticmethod
    def in_shares(r: Any, E: Any, A: Any, g: Any, w: Any) -> tuple[Any, Any, Any]:
        """Loss, gradient and Hessian in the shares."""
        total = sum(worth * share for worth, share in zip(w, r, strict=True))
        part = A * total**-g
        down, bend = -g * part / total, g * (g + 1) * part / total**2
        worth = np.stack([a + 0 * total for a in w])
        return E + part, down * worth, bend * worth[:, None] * worth

    @staticmethod
    def starts(columns: dict[str, Array], loss: Array) -> Array:
        """Non-negative weights of (L - E)^(-1/g) for several E and g; with w of the reference domain at 1."""
        return effective_starts(columns, loss)

"""The data mixing law of Ye et al. (2024): a loss from the shares of the training domains."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Shares
from scalefit.laws._mixtures import exponential_starts

_DOMAINS = ("academic", "prose", "dialogue", "symbolic", "internet")
#: Logarithms of c and k, then t of the five domains.
_PRINTED: dict[str, tuple[float, ...]] = {
    "academic": (0.9750, -2.1391, -10.0864, 2.7140, 2.7106, 2.6083, 1.5866),
    "prose": (1.2624, -2.1656, 1.3930, -4.6811, 0.7855, 1.8719, 0.5734),
    "dialogue": (1.1375, -7.1017, 6.7135, 6.2643, -31.8621, 6.6423, 6.2053),
    "symbolic": (0.4750, -3.6546, 3.3289, 3.6705, 3.1127, -16.4217, 3.1591),
    "internet": (1.2402, -1.9510, 1.1897, 0.8697, -0.5184, 1.7122, -3.0870),
}
#: The loss of the public table, after 30,000 steps, that each is nearest to, and by how much of it.
_NEAREST = {
    "academic": "PubMed_Central to 0.02",
    "prose": "Books3 to 0.006",
    "dialogue": "OpenSubtitles to 0.02",
    "symbolic": "Github to 0.03",
    "internet": "Wikipedia_en to 0.02",
}
_EVEN = {"academic": 2.7584293, "prose": 3.647267, "dialogue": 3.1192075, "symbolic": 1.621792, "internet": 3.6032404}


class DataMixing(Law):
    r"""Loss on one validation domain as an exponential of the training shares [1]_.

    .. math:: L(r) = c + k \exp\Big(\sum_j t_j r_j\Big), \qquad \sum_j r_j = 1

    The shares ``r`` may be 0. Adding a number to every t and dividing k by its exponential changes nothing, so a fit
    holds the t of one domain at 0 and names it; the others are measured from that one. The loss [nat/token] is of
    models of one size and number of tokens.

    References
    ----------
    .. [1] Ye et al. (2024), Data Mixing Laws: Optimizing Data Mixtures by Predicting Language Modeling Performance,
       arXiv:2403.16952.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.published("data_mixing", "ye2024_symbolic")
    >>> round(law.predict(r={"symbolic": 0.25, "internet": 0.75}), 3)
    1.613
    """

    inputs = ("r",)
    objective = "squared"
    formula = "L(r) = c + k exp(sum_j t_j r_j)"
    r = Shares("shares of the training domains")
    reference_by = 1

    c = Parameter("floor of the loss", (0.0, 100.0), (0.5, 2.0, 4.0), unit="nat/token", log=True, linear=True, own=True)
    k = Parameter("loss to gain", (0.0, 1e6), (0.1, 1.0, 3.0), unit="nat/token", log=True, linear=True, own=True)
    t = Parameter("effect of a share", (-200.0, 200.0), (-3.0, -1.0, 0.0), each="r", reference=0.0, own=True)

    published = tuple(
        Constants(
            f"ye2024_{key}",
            dict(c=float(np.exp(v[0])), k=float(np.exp(v[1])), **{f"t_{d}": v[2 + i] for i, d in enumerate(_DOMAINS)}),
            source="Ye et al. (2024), arXiv:2403.16952, the authors' notebook in yegcjs/mixinglaws",
            evidence="code",
            params="total",
            corpus="the Pile in five groups; models of 70M parameters",
            remark=f"Which loss it is of is not stated; of the public table at 30,000 steps it is {_NEAREST[key]}.",
            checked="to 0.03",
            golden=(Golden({f"r_{d}": 0.2 for d in _DOMAINS}, _EVEN[key], 1e-6),),
            domains=_DOMAINS,
        )
        for key, v in _PRINTED.items()
    )
    bibtex = (
        "@article{ye2024data, title={Data Mixing Laws: Optimizing Data Mixtures by Predicting Language Modeling "
        "Performance}, author={Ye, Jiasheng and others}, journal={arXiv:2403.16952}, year={2024}}"
    )

    @staticmethod
    def loss(r: Any, c: Any, k: Any, t: Any) -> Any:
        """Loss [nat/token]."""
        return c + k * np.exp(sum(slope * share for slope, share in zip(t, r, strict=True)))

    @staticmethod
    def gradient(r: Any, c: Any, k: Any, t: Any) -> list[Any]:
        """Derivatives in order of the parameters."""
        power = np.exp(sum(slope * share for slope, share in zip(t, r, strict=True)))
        return [np.ones_like(power), power, [k * power * share for share in r]]

    @staticmethod
    def in_shares(r: Any, c: Any, k: Any, t: Any) -> tuple[Any, Any, Any]:
        """Loss, gradient and Hessian in the shares."""
        part = k * np.exp(sum(slope * share for slope, share in zip(t, r, strict=True)))
        effect = np.stack([a + 0 * part for a in t])
        return c + part, part * effect, part * effect[:, None] * effect

    @staticmethod
    def starts(columns: dict[str, Array], loss: Array) -> Array:
        """Lines in log(L - c) for several c; with t of the reference domain at 0."""
        return exponential_starts(columns, loss)

"""The associative-memory law of Niu et al. (2024), calibrated by its radius."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.laws._base import Constants, Law, Parameter


class AssociativeMemory(Law):
    r"""Cross-entropy of a memory of ``D / T_max`` patterns of dimension ``n = T_max d_emb`` [1]_.

    .. math:: L = \log Z + 1/Z, \qquad \log Z = \log\frac{D}{T_{max}} - \tfrac12 \log(\pi n) + s \log n + c

    The theory's Z at the volume radius has ``s = c = 0``. Its radius was never measured, and a radius of ``kappa sqrt(n
    / 2 pi e)`` shifts log Z by ``n log kappa``, so this shift is fitted: ``c`` is the same for every size, ``s``
    growing with n. ``D`` counts training tokens [tokens], ``T_max`` the context [tokens], ``d_emb`` the width; loss in
    [nat/token]. Where Z > 1 the loss *rises* with D, at a slope of nearly one per unit of log D: that is the theory's
    claim, and the data contradict it (see :class:`AssociativeMemoryEffective`). It never falls below 1. With one
    context length, patterns of dimension d_emb instead of T_max d_emb only move c.

    References
    ----------
    .. [1] Niu, Bai, Deng and Han (2024), Beyond Scaling Laws, arXiv:2405.08707, Prop. 4 and eq. 13, without the layer
       terms, which cancel.

    Examples
    --------
    >>> round(float(AssociativeMemory.loss(9e9, 768, 1024, 0.0, 0.0)), 3)  # GPT-2 small at the volume radius
    8.629
    """

    inputs = ("D", "d_emb", "T_max")
    formula = "L(D, d_emb, T_max) = log Z + 1/Z; log Z = log(D/T_max) - log(pi n)/2 + s log n + c, n = T_max d_emb"
    direction = {"D": 0, "d_emb": 0, "T_max": 0}
    bibtex = (
        "@article{niu2024beyond, title={Beyond Scaling Laws: Understanding Transformer Performance with Associative "
        "Memory}, author={Niu, Xueyan and Bai, Bo and Deng, Lei and Han, Wei}, journal={arXiv:2405.08707}, year={2024}}"
    )

    c = Parameter("log Z beyond the volume radius, at every size", (-200.0, 200.0), (-10.0, -3.0, 0.0), unit="nat")
    s = Parameter("its growth with log n", (-10.0, 10.0), (-0.5, 0.0, 0.5))

    published = (
        Constants(
            "niu2024",
            dict(c=0.0, s=0.0),
            source="Niu et al. (2024), arXiv:2405.08707, eq. 13 at its upper end and Prop. 4: radius sqrt(n / 2 pi e)",
            N=(124e6, 355e6),
            D=(9e6, 9e9),
            remark="The theory's own radius, measured nowhere; it misses every table by tens of percent.",
        ),
    )

    @staticmethod
    def loss(D: Any, d_emb: Any, T_max: Any, c: Any, s: Any) -> Any:
        """Loss [nat/token]."""
        log_n = np.log(T_max * d_emb)
        log_z = np.log(D / T_max) - 0.5 * (np.log(np.pi) + log_n) + s * log_n + c
        return log_z + np.exp(-log_z)

    @staticmethod
    def starts(columns: dict[str, Array], loss: Array) -> Array:
        """Linear in c and s once the loss is inverted, on either side of Z = 1."""
        log_n = np.log(columns["T_max"] * columns["d_emb"])
        known = np.log(columns["D"] / columns["T_max"]) - 0.5 * (np.log(np.pi) + log_n)
        basis = np.stack([np.ones_like(log_n), log_n], axis=1)
        return np.array([np.linalg.lstsq(basis, log_z - known, rcond=None)[0] for log_z in log_z_of(loss)])


def log_z_of(loss: Array) -> list[Array]:
    """Both solutions of ``L = log Z + 1/Z``, Z above 1 and below; zero where L is below 1."""
    from scipy.special import lambertw

    loss = np.maximum(loss, 1.0 + 1e-12)  # at 1 the two meet, on the very edge of Lambert's W
    return [np.real(loss + lambertw(-np.exp(-loss), branch)) for branch in (0, -1)]

"""The associative-memory law with free slopes, which measure how far data are from the theory."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.laws._base import Law, Parameter
from scalefit.laws.associative_memory import AssociativeMemory, log_z_of


class AssociativeMemoryEffective(Law):
    r"""The law of :class:`AssociativeMemory` with the slope of log Z in log D fitted instead of given [1]_.

    .. math:: L = \log Z + 1/Z, \qquad \log Z = c + b \log\frac{D}{T_{max}} + s \log(T_{max} d_{emb})

    The theory says ``b = 1`` and, at the volume radius, ``s = -1/2``. No paper claims this form: it measures how far
    the theory is from a table. ``D`` counts training tokens [tokens], ``T_max`` the context [tokens]; loss in
    [nat/token].

    References
    ----------
    .. [1] Niu, Bai, Deng and Han (2024), Beyond Scaling Laws, arXiv:2405.08707, Prop. 4.

    Examples
    --------
    >>> theory = AssociativeMemory.loss(9e9, 768, 1024, 0.0, 0.0)
    >>> free = AssociativeMemoryEffective.loss(9e9, 768, 1024, -0.5 * np.log(np.pi), 1.0, -0.5)
    >>> bool(np.isclose(theory, free))
    True
    """

    inputs = AssociativeMemory.inputs
    formula = "L(D, d_emb, T_max) = log Z + 1/Z; log Z = c + b log(D/T_max) + s log(T_max d_emb)"
    direction = AssociativeMemory.direction
    bibtex = AssociativeMemory.bibtex

    c = Parameter("log Z at one pattern of one dimension", (-200.0, 200.0), (0.0, 2.0, 6.0), unit="nat")
    b = Parameter("slope of log Z in the log of patterns; 1 in theory", (-5.0, 5.0), (-0.1, 0.03, 1.0))
    s = Parameter("slope of log Z in the log of the dimension; -1/2 in theory", (-10.0, 10.0), (-0.5, 0.0, 0.1))

    @staticmethod
    def loss(D: Any, d_emb: Any, T_max: Any, c: Any, b: Any, s: Any) -> Any:
        """Loss [nat/token]."""
        log_z = c + b * np.log(D / T_max) + s * np.log(T_max * d_emb)
        return log_z + np.exp(-log_z)

    @staticmethod
    def starts(columns: dict[str, Array], loss: Array) -> Array:
        """Linear in c, b and s once the loss is inverted, on either side of Z = 1."""
        log_n = np.log(columns["T_max"] * columns["d_emb"])
        basis = np.stack([np.ones_like(log_n), np.log(columns["D"] / columns["T_max"]), log_n], axis=1)
        return np.array([np.linalg.lstsq(basis, log_z, rcond=None)[0] for log_z in log_z_of(loss)])

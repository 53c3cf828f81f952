"""The law of filtered and repeated data of Goyal et al. (2024), for one pool."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Law, Parameter
from scalefit.laws._declarations import Target


class DataFiltering(Law):
    r"""Error that falls as a power of samples, with an exponent that halves every tau passes over the pool [1]_.

    .. math:: y = d + a\,n_1^{-b_1} \prod_{j \ge 2} (n_j / n_{j-1})^{-b_j}, \quad b_{j+1} = b\,2^{-j/\tau}

    n_j are the samples seen up to the end of pass j over the ``unique_tokens`` (samples or tokens: the same in the
    whole table), ``D`` all samples seen; the last pass may stop early. The error is a share between 0 and 1, at one
    size of model. The paper also mixes pools, which would need a column per pool; this law has one pool.
    Constants were not found in print: none are shipped.

    References
    ----------
    .. [1] Goyal et al. (2024), Scaling Laws for Data Filtering: Data Curation cannot be Compute Agnostic,
       arXiv:2404.07177.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.laws.get("data_filtering")
    >>> fresh, repeated = (float(law.loss(1e9, unique, d=0.3, a=8.0, b=0.15, tau=4.0)) for unique in (1e9, 1e8))
    >>> round(fresh, 3), round(repeated, 3)
    (0.657, 0.711)
    """

    name = "data_filtering"
    inputs = ("D", "unique_tokens")
    exponents = {"D": ("b",)}
    formula = "y(D, U) = d + a W^-b; ln W = ln min(D, U) + sum_j 2^(-j/tau) ln(min(D/U, j + 1)/j)"
    target = Target("error", sense=-1, range=(0.0, 1.0), names=("error_rate",))

    d = Parameter("error that no data take away", (0.0, 1.0), (0.1, 0.3, 0.5), log=True, linear=True, own=True)
    a = Parameter("coefficient", (0.0, 1e10), (1.0, 8.0, 60.0), log=True, linear=True, own=True)
    b = Parameter("exponent of the first pass", (0.0, 3.0), (0.08, 0.15, 0.3))
    tau = Parameter("passes that halve the exponent", (0.05, 1e4), (1.0, 4.0, 16.0), unit="passes", log=True)

    bibtex = (
        "@article{goyal2024scaling, title={Scaling Laws for Data Filtering: Data Curation cannot be Compute Agnostic}, "
        "author={Goyal, Sachin and others}, journal={arXiv:2404.07177}, year={2024}}"
    )

    @staticmethod
    def loss(D: Any, unique_tokens: Any, d: Any, a: Any, b: Any, tau: Any) -> Any:
        """Error, a share between 0 and 1 [-]."""
        pool = np.minimum(D, unique_tokens)
        passes = D / pool
        worth, keeps = np.log(pool) + 0 * tau, 0.5 ** (1 / tau)
        for j in range(1, int(np.ceil(np.max(np.real(passes))))):
            worth = worth + keeps**j * np.log(np.maximum(np.minimum(passes, j + 1) / j, 1.0))
        return d + a * np.exp(-b * worth)

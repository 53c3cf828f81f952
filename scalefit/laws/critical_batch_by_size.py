"""The critical batch of Zhang et al. (2024), by size."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Target

#: Tokens of a sequence, which the paper counts batches in.
_SEQUENCE = 512


class CriticalBatchBySize(Law):
    r"""Largest batch that costs at most a fifth more samples than a small one, by size [1]_.

    .. math:: B = c\,N^{b}

    ``N`` [parameters]; the batch is in tokens. A setting: there is nothing to minimise.

    References
    ----------
    .. [1] Zhang et al. (2024), How Does Critical Batch Size Scale in Pre-training?, arXiv:2410.21676, section 3.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("critical_batch_by_size", "zhang2024").predict(N=151e6) / 512)
    985
    """

    name = "critical_batch_by_size"
    inputs = ("N",)
    formula = "B(N) = c N^b"
    target = Target("batch_tokens", "tokens", sense=0, names=("batch", "batch_size_tokens"))
    direction = {"N": 0}

    c = Parameter("coefficient", (0.0, 1e20), (1.0, 70.0, 1e4), log=True, linear=True, own=True)
    b = Parameter("exponent of size", (-2.0, 2.0), (0.1, 0.45, 0.7))

    published = (
        Constants(
            "zhang2024",
            dict(c=93.20 * _SEQUENCE * 1e6**-0.47, b=0.47),
            source="Zhang et al. (2024), arXiv:2410.21676, section 3, as a review quotes it: D = 20 N",
            N=(8.5e7, 1.2e9),
            evidence="review",
            corpus="C4",
            remark="Size and data grow together here. The paper counts sequences of 512 tokens.",
            golden=(Golden(dict(N=151e6), 985.22422 * _SEQUENCE, 1e-7),),
        ),
        Constants(
            "zhang2024_3B_tokens",
            dict(c=621.341 * _SEQUENCE * 1e6**-0.087, b=0.087),
            source="Zhang et al. (2024), arXiv:2410.21676, section 3, as a review quotes it: D = 3.072 billion",
            N=(8.5e7, 1.2e9),
            D=(3.072e9, 3.072e9),
            evidence="review",
            corpus="C4",
            remark="At one number of tokens it hardly moves with size. The paper counts sequences of 512 tokens.",
        ),
    )
    bibtex = (
        "@article{zhang2024critical, title={How Does Critical Batch Size Scale in Pre-training?}, "
        "author={Zhang, Hanlin and others}, journal={arXiv:2410.21676}, year={2024}}"
    )

    @staticmethod
    def loss(N: Any, c: Any, b: Any) -> Any:
        """Critical batch [tokens]."""
        return c * N**b

"""The best batch of Li et al. (2025), Step Law."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Target


class StepLawBatch(Law):
    r"""Batch that gives the lowest loss, by tokens [1]_.

    .. math:: B = c\,D^{b}

    ``D`` counts training tokens [tokens]; the batch is in tokens. A setting: there is nothing to minimise.

    References
    ----------
    .. [1] Li et al. (2025), Predictable Scale: Part I, Step Law, arXiv:2503.04715, eq. 1.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("step_law_batch").predict(D=1e11))
    1107715
    """

    name = "step_law_batch"
    inputs = ("D",)
    formula = "batch(D) = c D^b"
    target = Target("batch_tokens", "tokens", sense=0, names=("batch", "batch_size_tokens"))
    direction = {"D": 0}

    c = Parameter("coefficient", (0.0, 1e20), (0.1, 1.0, 10.0), log=True, linear=True, own=True)
    b = Parameter("exponent of tokens", (-2.0, 2.0), (0.3, 0.57, 0.8))

    published = (
        Constants(
            "li2025",
            dict(c=0.58, b=0.571),
            source="Li et al. (2025), arXiv:2503.04715, eq. 1",
            params="total",
            evidence="review",
            golden=(Golden(dict(D=1e11), 1107714.9, 1e-7),),
        ),
    )
    bibtex = (
        "@article{li2025predictable, title={Predictable Scale: Part I, Step Law}, author={Li, Houyi and "
        "others}, journal={arXiv:2503.04715}, year={2025}}"
    )

    @staticmethod
    def loss(D: Any, c: Any, b: Any) -> Any:
        """Batch [tokens]."""
        return c * D**b

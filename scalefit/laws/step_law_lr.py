"""The best learning rate of Li et al. (2025), Step Law."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Target


class StepLawLR(Law):
    r"""Peak learning rate that gives the lowest loss, by size and tokens [1]_.

    .. math:: \eta = c\,N^{-a} D^{b}

    ``N`` counts parameters without the vocabulary's [parameters], ``D`` tokens [tokens]. A setting: there is
    nothing to minimise.

    References
    ----------
    .. [1] Li et al. (2025), Predictable Scale: Part I, Step Law, arXiv:2503.04715, eq. 1.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("step_law_lr").predict(N=1e9, D=1e11), 7)
    0.0016325
    """

    name = "step_law_lr"
    inputs = ("N", "D")
    formula = "lr(N, D) = c N^-a D^b"
    target = Target("lr", "-", sense=0, names=("learning_rate", "max_lr", "peak_lr"))
    direction = {"N": 0, "D": 0}

    c = Parameter("coefficient", (0.0, 1e20), (0.1, 1.0, 10.0), log=True, linear=True, own=True)
    a = Parameter("exponent of size", (0.0, 3.0), (0.3, 0.7, 1.0))
    b = Parameter("exponent of tokens", (-2.0, 2.0), (0.0, 0.3, 0.6))

    published = (
        Constants(
            "li2025",
            dict(c=1.79, a=0.713, b=0.307),
            source="Li et al. (2025), arXiv:2503.04715, eq. 1",
            params="non_embedding",
            evidence="review",
            checked="yes: the rates that follow-up code computes from it",
            golden=(
                Golden(dict(N=4.4e8, D=1e10), 0.001445677, 1e-6, "code of the AI2 ladder"),
                Golden(dict(N=3.65e9, D=1e10), 0.00031984401, 1e-6, "code of the AI2 ladder"),
                Golden(dict(N=1e9, D=1e11), 0.0016324994, 1e-6),
            ),
        ),
    )
    bibtex = (
        "@article{li2025predictable, title={Predictable Scale: Part I, Step Law}, author={Li, Houyi and "
        "others}, journal={arXiv:2503.04715}, year={2025}}"
    )

    @staticmethod
    def loss(N: Any, D: Any, c: Any, a: Any, b: Any) -> Any:
        """Learning rate [-]."""
        return c * N**-a * D**b

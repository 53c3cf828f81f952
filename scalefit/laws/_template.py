"""Template: copy this file to a new name in this folder, and the law exists everywhere.

The registry, the command line, the docs, the comparison, the planner and the contract tests all walk the folder.
"""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Law, Parameter


class Template(Law):
    r"""One sentence that says what the law claims [1]_.

    .. math:: L(D) = E + B\,D^{-\beta}

    Say what each input counts, with its unit in brackets: ``D`` counts training tokens [tokens].

    References
    ----------
    .. [1] Author (year), Title, arXiv:0000.00000, equation number.

    Examples
    --------
    >>> Template.loss(1e9, 1.7, 400.0, 0.3).__round__(3)
    2.498
    """

    inputs = ("D",)
    formula = "L(D) = E + B D^-beta"

    E = Parameter("irreducible loss", (0.0, 20.0), (0.5, 1.7, 3.0), unit="nat/token", log=True, linear=True)
    B = Parameter("data coefficient", (0.0, 1e20), (10.0, 400.0, 1e4), log=True, linear=True)
    beta = Parameter("data exponent", (0.0, 3.0))

    # published = (Constants("author2024", dict(E=..., B=..., beta=...), source="arXiv:..., table 2"),)

    @staticmethod
    def loss(D: Any, E: Any, B: Any, beta: Any) -> Any:
        """Loss [nat/token]; takes the inputs, then the parameters, in order, and broadcasts over both."""
        return E + B * D**-beta

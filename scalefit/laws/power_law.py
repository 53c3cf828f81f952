"""A power law with a floor, in one variable."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter, Term


class PowerLaw(Law):
    r"""Power law in one of N, D or C, with an irreducible loss [1]_ [2]_.

    .. math:: L(x) = E + A\,x^{-\alpha}

    ``x`` is compute C [FLOP] unless asked otherwise: ``power_law:N`` [parameters], ``power_law:D`` [tokens]; the
    loss is in [nat/token]. With ``fixed={"E": 0}`` it is Kaplan's pure power law.

    References
    ----------
    .. [1] Hestness et al. (2017), Deep Learning Scaling is Predictable, Empirically, arXiv:1712.00409.
    .. [2] Kaplan et al. (2020), Scaling Laws for Neural Language Models, arXiv:2001.08361, eqs. 1.1 to 1.3.

    Examples
    --------
    >>> from scalefit.laws.power_law import PowerLaw
    >>> round(PowerLaw.loss(1e9, 1.7, 400.0, 0.34), 3)
    2.049
    """

    inputs = ("C",)
    choices = ("C", "N", "D")
    formula = "L(x) = E + A x^-alpha"

    E = Parameter("irreducible loss", (0.0, 20.0), (0.5, 1.7, 3.0), unit="nat/token", log=True, linear=True, own=True)
    A = Parameter("coefficient", (0.0, 1e40), (10.0, 400.0, 1e4), log=True, linear=True, own=True)
    alpha = Parameter("exponent", (0.0, 3.0))

    terms = (Term("E"), Term("A", {"C": "alpha"}))

    published = (
        Constants(
            "kaplan2020_N",
            dict(E=0.0, A=8.8e13**0.076, alpha=0.076),
            source="Kaplan et al. (2020), arXiv:2001.08361, eq. 1.1: (N_c/N)^alpha_N, N_c = 8.8e13",
            N=(768.0, 1.5e9),
            D=(2.2e10, 2.3e10),
            params="non_embedding",
            corpus="WebText2, GPT-2 BPE",
            remark="In the variable N: read it as power_law:N, trained to convergence on 22B tokens.",
        ),
    )

    bibtex = (
        "@article{hestness2017deep, title={Deep Learning Scaling is Predictable, Empirically}, "
        "author={Hestness, Joel and others}, journal={arXiv:1712.00409}, year={2017}}"
    )

    @staticmethod
    def loss(x: Any, E: Any, A: Any, alpha: Any) -> Any:
        """Loss [nat/token]."""
        return E + A * x**-alpha

    @staticmethod
    def rescale(params: dict[str, Any], units: dict[str, float]) -> dict[str, Any]:
        """Parameters for the input measured in `units`."""
        (unit,) = units.values()
        return {**params, "A": params["A"] * unit ** -params["alpha"]}

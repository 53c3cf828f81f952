"""A power law with a floor, in one variable."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter, Term, Usual
from scalefit.laws._declarations import Golden

#: A petaflop per second for a day [FLOP].
_PF_DAY = 8.64e19


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
    shared_prior = True
    formula = "L(x) = E + A x^-alpha"

    E = Usual.E
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
            golden=(Golden(dict(N=1.5e9), 2.3036, 1e-4),),
        ),
        Constants(
            "kaplan2020_D",
            dict(E=0.0, A=5.4e13**0.095, alpha=0.095),
            source="Kaplan et al. (2020), arXiv:2001.08361, eq. 1.2: (D_c/D)^alpha_D, D_c = 5.4e13",
            D=(2.1e7, 2.3e10),
            params="non_embedding",
            corpus="WebText2, GPT-2 BPE",
            remark="In the variable D: read it as power_law:D. D is the size of the data, with early stopping.",
            golden=(Golden(dict(D=2.2e10), 2.0991683),),
        ),
        Constants(
            "kaplan2020_C",
            dict(E=0.0, A=(3.1e8 * _PF_DAY) ** 0.050, alpha=0.050),
            source="Kaplan et al. (2020), arXiv:2001.08361, eq. 1.3: (C_c/C_min)^alpha_C, C_c = 3.1e8 PF-days",
            params="non_embedding",
            corpus="WebText2, GPT-2 BPE",
            remark="In the variable C [FLOP]: compute at a batch far below the critical one, without embeddings.",
            golden=(Golden(dict(C=_PF_DAY), 2.6580802),),
        ),
        *(
            Constants(
                f"moonlight2025_{key}_C",
                dict(E=0.0, A=A * _PF_DAY**alpha, alpha=alpha),
                source="Moonlight (2025), arXiv:2502.16982, table 3 and fig. 3",
                N=(3.99e8, 1.5e9),
                params="non_embedding",
                ranges={"C": (0.25 * _PF_DAY, 4.05 * _PF_DAY)},
                checked="yes: Muon needs about 52 % of the compute of AdamW" if key == "muon" else "",
                golden=(Golden(dict(C=10 * _PF_DAY), value),),
            )
            for key, A, alpha, value in (("muon", 2.506, 0.052, 2.223213), ("adamw", 2.608, 0.054, 2.3030724))
        ),
        Constants(
            "charles2025_dp_N",
            dict(E=0.0, A=18.129, alpha=0.0953),
            source="Charles et al. (2025), arXiv:2503.09799, data-parallel training",
            N=(3.5e7, 2.4e9),
            remark="In the variable N, at D = 20 N: read it as power_law:N. It has no floor.",
            checked="to 0.07: 2.020 at 10 billion parameters for the measured 2.090",
            golden=(Golden(dict(N=1e10), 2.0201046, 1e-7),),
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

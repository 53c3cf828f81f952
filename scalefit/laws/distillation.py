"""The distillation law of Busbridge et al. (2025)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Input
from scalefit.laws._forms import softplus


def _power_of_sum(log_n: Any, log_d: Any, A: Any, alpha: Any, B: Any, beta: Any, gamma: Any) -> tuple[Any, list[Any]]:
    """(A N^-alpha + B D^-beta)^gamma, and its slopes by these five."""
    n_term, d_term = np.exp(-alpha * log_n), np.exp(-beta * log_d)
    terms = A * n_term + B * d_term
    power = terms**gamma
    slope = gamma * power / terms
    by_exponents = -slope * A * n_term * log_n, -slope * B * d_term * log_d
    return power, [slope * n_term, by_exponents[0], slope * d_term, by_exponents[1], power * np.log(terms)]


class Distillation(Law):
    r"""Loss of a student between that of its teacher and what it would reach alone [1]_.

    .. math::
        L = L_T + L_T^{-c_0} (1 +
        \left(\frac{L_T}{\tilde L d_1}\right)^{1/f_1})^{-c_1 f_1} (A' N^{-\alpha'} +
        B' D^{-\beta'})^{\gamma'}, \quad \tilde L = E + (A N^{-\alpha} + B D^{-\beta})^{\gamma}

    ``N`` counts the student's parameters outside the embeddings [parameters], ``D`` its tokens [tokens], L_T is
    ``teacher_loss``; losses in [nat/token].

    Runs with teachers alone do not determine the 15 constants: L~, the loss of the student without a teacher, enters
    only by its ratio to the teacher's loss. Fit in two steps, as the paper does: fit ``coupled`` to runs without a
    teacher, and fix E, A, alpha, B, beta and gamma (its g) at the result. Fix c1 too, at the published 522.6: few
    tables can separate it from f1.

    References
    ----------
    .. [1] Busbridge et al. (2025), Distillation Scaling Laws, arXiv:2502.08606, eq. 8 and table 6.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("distillation").predict(N=1e9, D=2e10, teacher_loss=2.2), 5)
    2.31695

    The second step, with the constants of the first:

    >>> import numpy as np
    >>> rng, first = np.random.default_rng(0), dict(E=1.22, A=3355, alpha=0.408, B=18186, beta=0.431, gamma=0.452)
    >>> runs = {"N": 10 ** rng.uniform(8, 10, 60), "D": 10 ** rng.uniform(9.5, 11.5, 60)}
    >>> runs["teacher_loss"] = rng.uniform(1.9, 2.6, 60)
    >>> runs["loss"] = sf.published("distillation").predict(**runs) * np.exp(0.001 * rng.standard_normal(60))
    >>> sf.fit(runs, "distillation", fixed={**first, "c1": 522.6}).trusted
    True
    """

    name = "distillation"
    inputs = ("N", "D", "teacher_loss")
    exponents = {"N": ("alpha", "alpha_S"), "D": ("beta", "beta_S"), "teacher_loss": ("c0",)}
    formula = (
        "L(N, D, L_T) = L_T + L_T^-c0 (1 + (L_T/(L~ d1))^(1/f1))^(-c1 f1) (A' N^-alpha' + B' "
        "D^-beta')^gamma'; L~ = E + (A N^-alpha + B D^-beta)^gamma"
    )
    direction = {"N": 0, "D": 0, "teacher_loss": 0}
    hold_first = ("E", "A", "alpha", "B", "beta", "gamma")
    hold_from = "at what `coupled` gives on runs without a teacher (its g is gamma)"
    teacher_loss = Input("teacher's loss", ("teacher_loss", "l_t"), "nat/token", (0, 20), (1.9, 2.1, 2.3, 2.6))

    E = Parameter("floor of supervised training", (0.0, 20.0), (0.8, 1.2, 1.7), unit="nat/token", log=True)
    A = Parameter("supervised size coefficient", (0.0, 1e20), (300.0, 3e3, 3e4), log=True)
    alpha = Parameter("supervised size exponent", (0.0, 3.0), (0.3, 0.4, 0.5))
    B = Parameter("supervised data coefficient", (0.0, 1e20), (2e3, 2e4, 2e5), log=True)
    beta = Parameter("supervised data exponent", (0.0, 3.0), (0.3, 0.43, 0.55))
    gamma = Parameter("supervised coupling", (0.0, 3.0), (0.3, 0.45, 0.7))
    A_S = Parameter("size coefficient", (0.0, 1e20), (200.0, 2e3, 2e4), log=True)
    alpha_S = Parameter("size exponent", (0.0, 3.0), (0.2, 0.32, 0.45))
    B_S = Parameter("data coefficient", (0.0, 1e20), (2e3, 2e4, 2e5), log=True)
    beta_S = Parameter("data exponent", (0.0, 3.0), (0.5, 0.64, 0.75))
    gamma_S = Parameter("coupling", (0.0, 3.0), (0.5, 0.76, 1.0))
    c0 = Parameter("exponent of the teacher's loss", (0.0, 20.0), (1.5, 2.5, 4.0))
    c1 = Parameter("slope past the capacity gap", (0.0, 1e4), (100.0, 500.0, 1e3), log=True)
    d1 = Parameter("where the capacity gap lies", (0.5, 5.0), (1.1, 1.3, 1.6))
    f1 = Parameter("width of the turn", (0.01, 5.0), (0.05, 0.09, 0.2), log=True)

    published = (
        Constants(
            "busbridge2025",
            dict(E=1.220, A=3355, alpha=0.408, B=18186, beta=0.431, gamma=0.452)
            | dict(A_S=2243, alpha_S=0.321, B_S=24181, beta_S=0.637, gamma_S=0.764)
            | dict(c0=2.549, c1=522.6, d1=1.315, f1=0.090),
            source="Busbridge et al. (2025), arXiv:2502.08606, eqs. 8 and 46, table 6",
            params="non_embedding",
            evidence="paper",
            checked=(
                "yes: with the best teacher and endless data the student reaches supervised training within .8 "
                "%, as in its figure 40"
            ),
            N=(1.43e8, 1.26e10),
            D=(0, 5.12e11),
            golden=(
                Golden(dict(N=1e9, D=2e10, teacher_loss=2.2), 2.3169534, 1e-7),
                Golden(dict(N=1e9, D=2e10, teacher_loss=2.0), 2.2768106, 1e-7),
            ),
        ),
    )
    bibtex = (
        "@article{busbridge2025distillation, title={Distillation Scaling Laws}, author={Busbridge, Dan "
        "and others}, journal={arXiv:2502.08606}, year={2025}}"
    )

    @staticmethod
    def loss(N: Any, D: Any, teacher_loss: Any, E: Any, A: Any, alpha: Any, B: Any, beta: Any, gamma: Any, A_S: Any,
             alpha_S: Any, B_S: Any, beta_S: Any, gamma_S: Any, c0: Any, c1: Any, d1: Any, f1: Any) -> Any:  # fmt: skip
        """Loss [nat/token]."""
        alone = E + (A * N**-alpha + B * D**-beta) ** gamma
        turn = c1 * f1 * softplus(np.log(teacher_loss / (alone * d1)) / f1)
        student = (A_S * N**-alpha_S + B_S * D**-beta_S) ** gamma_S
        return teacher_loss + np.exp(-c0 * np.log(teacher_loss) - turn) * student

    @staticmethod
    def gradient(N: Any, D: Any, teacher_loss: Any, E: Any, *constants: Any) -> list[Any]:
        """Derivatives in order of the parameters."""
        log_n, log_d, log_t = np.log(N), np.log(D), np.log(teacher_loss)
        power, supervised = _power_of_sum(log_n, log_d, *constants[:5])
        student, own = _power_of_sum(log_n, log_d, *constants[5:10])
        c0, c1, d1, f1 = constants[10:]
        z = (log_t - np.log((E + power) * d1)) / f1
        turn, share = softplus(z), np.exp(-softplus(-z))
        factor = np.exp(-c0 * log_t - c1 * f1 * turn)
        above, by_alone = factor * student, factor * student * c1 * share / (E + power)
        ends = [-above * log_t, -above * f1 * turn, above * c1 * share / d1, above * c1 * (share * z - turn)]
        return [by_alone, *(by_alone * slope for slope in supervised), *(factor * slope for slope in own), *ends]

"""The law of vocabulary size of Tao et al. (2024)."""

from __future__ import annotations

from typing import Any

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Golden, Input, Target


class Vocabulary(Law):
    r"""Powers of the parameters with and without the vocabulary, for a loss comparable between vocabularies [1]_.

    .. math:: L_u = -E + A_1 N_{nv}^{-\alpha_1} + A_2 N_v^{-\alpha_2} + B\,D^{-\beta}

    ``N_nonvocab`` and ``N_vocab`` (vocabulary times width) [parameters], ``D`` tokens [tokens]; the loss less that
    of a unigram model [nat/token] is negative. The paper ties alpha_1 and beta. Its D does not count tokens: use the
    constants that were fitted to tokens, ``ours_tokens``.

    References
    ----------
    .. [1] Tao et al. (2024), Scaling Laws with Vocabulary, arXiv:2407.13623.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.published("vocabulary", "ours_tokens")
    >>> round(law.predict(N_nonvocab=3e8, N_vocab=3e7, D=1e10), 2)
    -4.89
    """

    name = "vocabulary"
    inputs = ("N_nonvocab", "N_vocab", "D")
    formula = "L_u(N_nv, N_v, D) = -E + A1 N_nv^-alpha1 + A2 N_v^-alpha2 + B D^-beta"
    target = Target(
        "unigram_normalised_loss",
        "nat/token",
        sense=-1,
        range=(-50.0, 50.0),
        scale="linear",
        names=("lossu", "loss_u", "lu"),
    )
    N_nonvocab = Input(
        "parameters outside the vocabulary",
        ("n_nonvocab", "n_nv", "non_vocab_params"),
        "parameters",
        typical=(1e7, 1e8, 1e9, 1e10),
    )
    N_vocab = Input(
        "parameters of the vocabulary", ("n_vocab", "n_v", "vocab_params"), "parameters", typical=(1e6, 1e7, 1e8, 1e9)
    )

    E = Parameter("floor below the unigram model", (0.0, 50.0), (4.0, 5.5, 7.0), unit="nat/token", own=True)
    A1 = Parameter("coefficient of other parameters", (0.0, 1e20), (100.0, 1e3, 1e5), log=True, own=True)
    alpha1 = Parameter("exponent of other parameters", (0.0, 3.0), (0.3, 0.44, 0.6))
    A2 = Parameter("coefficient of the vocabulary's parameters", (0.0, 1e20), (1e3, 1e6, 1e8), log=True, own=True)
    alpha2 = Parameter("exponent of the vocabulary's parameters", (0.0, 3.0), (0.6, 0.9, 1.1))
    B = Parameter("data coefficient", (0.0, 1e20), (1e3, 3e4, 1e6), log=True, own=True)
    beta = Parameter("data exponent", (0.0, 3.0), (0.3, 0.44, 0.6))

    published = (
        Constants(
            "ours_tokens",
            dict(E=5.53693, A1=828.478, alpha1=0.43979, A2=289974.0, alpha2=1.05882, B=12089.2, beta=0.43979),
            source="fitted by scalefit to runs of its repository (sail-sg/scaling-with-vocab, arXiv:2407.13623)",
            evidence="refit",
            remark="D counts tokens.",
            golden=(Golden(dict(N_nonvocab=3e8, N_vocab=3e7, D=1e10), -4.8948792, 1e-7),),
        ),
        Constants(
            "tao2024",
            dict(E=5.5327846803337435, A1=1.8313851559554126 * 1e6**0.44660634152009615, alpha1=0.44660634152009615)
            | dict(A2=0.19584238398665638 * 1e6**0.6707374679896795, alpha2=0.6707374679896795)
            | dict(B=2.1241123120064955 * 1e9**0.44660634152009615, beta=0.44660634152009615),
            source="Tao et al. (2024), arXiv:2407.13623, code of sail-sg/scaling-with-vocab",
            evidence="code",
            checked="no: its D is 2 to 3 times the tokens; with tokens it misses its own runs by 0.46 nat/token",
            remark="D here is characters times a map to tokens that the code asks for vocabularies in thousands.",
            golden=(Golden(dict(N_nonvocab=302e6, N_vocab=33.554432e6, D=10e9), -4.6116981, 1e-7),),
        ),
    )
    bibtex = (
        "@article{tao2024scaling, title={Scaling Laws with Vocabulary: Larger Models Deserve Larger "
        "Vocabularies}, author={Tao, Chaofan and others}, journal={arXiv:2407.13623}, year={2024}}"
    )

    @staticmethod
    def loss(
        N_nonvocab: Any, N_vocab: Any, D: Any, E: Any, A1: Any, alpha1: Any, A2: Any, alpha2: Any, B: Any, beta: Any
    ) -> Any:
        """Loss less that of a unigram model [nat/token]."""
        return -E + A1 * N_nonvocab**-alpha1 + A2 * N_vocab**-alpha2 + B * D**-beta

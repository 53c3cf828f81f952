"""Learning rate and batch size for a size and a number of tokens: published rules, each by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scalefit._arguments import check_count, check_quantity


@dataclass(frozen=True, slots=True)
class Recipe:
    """Peak learning rate and batch size that a published rule gives.

    Attributes
    ----------
    rule : str
        Name of the rule.
    learning_rate : float
        Peak learning rate of AdamW.
    batch_tokens : float
        Batch size [tokens].
    source : str
        Where the rule comes from.
    remark : str
        The runs it was measured on.
    beyond : float
        The model's size over the largest that the rule was measured on.
    """

    rule: str
    learning_rate: float
    batch_tokens: float
    source: str
    remark: str
    beyond: float


def _step_law(N: float, D: float, context: int) -> Recipe:
    return Recipe(
        "step_law",
        1.79 * N**-0.713 * D**0.307,
        0.58 * D**0.571,
        "Li et al. (2025), arXiv:2503.04715, eq. 1",
        "N without embeddings; 60M to 1B, 2e9 to 1e11 tokens, cosine to a fixed 1e-5",
        N / 1e9,
    )


def _olmo_ladder(N: float, D: float, context: int) -> Recipe:
    # 0.0047 at sequences of 2048; the rule quarters it at 4096 and keeps the batch's tokens.
    rate = 0.0047 * (N / 108e6) ** (-1 / 3)
    return Recipe(
        "olmo_ladder",
        rate / 4 if context >= 4096 else rate,
        160 * (N / 108e6) ** (2 / 3) * 2048,
        "Bhagia et al. (2024), arXiv:2412.04403, after Porian et al. (2024), arXiv:2406.19146; code of OLMo-ladder",
        "N without embeddings; 190M to 1B, used to 13B; cosine to a tenth, warm-up over N tokens, weight decay 0.1",
        N / 13e9,
    )


RECIPES: dict[str, Callable[[float, float, int], Recipe]] = {"step_law": _step_law, "olmo_ladder": _olmo_ladder}


def recipes(N: float | str, D: float | str, context: int = 2048) -> dict[str, Recipe]:
    """Every published rule at a size and a number of tokens.

    Parameters
    ----------
    N : float or str
        Parameters without embeddings [parameters].
    D : float or str
        Training tokens [tokens].
    context : int
        Sequence length [tokens].

    Returns
    -------
    dict of str to Recipe

    Raises
    ------
    ArgumentError
        A size, a number of tokens or a context that is not positive and finite.

    Examples
    --------
    >>> rules = recipes(N=1e9, D=1e11)
    >>> {name: float(f"{rule.learning_rate:.2g}") for name, rule in rules.items()}
    {'step_law': 0.0016, 'olmo_ladder': 0.0022}
    """
    size, tokens, length = check_quantity("N", N), check_quantity("D", D), check_count("context", context)
    return {name: rule(size, tokens, length) for name, rule in RECIPES.items()}

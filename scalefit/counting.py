"""Numbers and their conventions: quantities as people type them, FLOP conventions, loss units.

Exponents move from 0.54 to 0.37 with the counting convention alone, so a convention always has a name here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scalefit._arguments import as_numbers, one_of
from scalefit._arguments import parse_quantity as parse_quantity
from scalefit._text import known
from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError, arg
from scalefit.flops import training_flops as training_flops

#: What N may count. Fitted exponents depend on it, so it has a name and travels with tables, constants and results.
PARAMS_CONVENTIONS = {
    "total": "all parameters, embeddings and output head included",
    "non_embedding": "without token and position embeddings and without the output head",
    "matrices": "weight matrices with the output head, without embedding lookups",
    "active": "parameters that one token uses (mixture of experts)",
    "non_zero": "parameters that pruning left (sparse models)",
    "other": "some other count, the same in every row",
}


def nats_per_token(loss: ArrayLike, unit: str, bytes_per_token: ArrayLike | None = None) -> Array:
    """Convert a loss to nats per token.

    Parameters
    ----------
    loss : array_like
        The loss, in `unit`.
    unit : {"nat/token", "bit/token", "bit/byte", "nat/byte", "perplexity"}
        Its unit; a perplexity counts per token.
    bytes_per_token : array_like, optional
        Average bytes of text per token [byte/token]; needed for losses per byte.

    Returns
    -------
    ndarray
        The loss [nat/token].

    Raises
    ------
    ArgumentError
        Unknown unit, or a loss per byte without `bytes_per_token`.

    Examples
    --------
    >>> round(float(nats_per_token(0.9, "bit/byte", bytes_per_token=4.5)), 4)
    2.8072
    """
    values = as_numbers("loss", loss)
    if not isinstance(unit, str):
        raise ArgumentError(f"Unknown loss unit {unit!r:.80}", "nothing was converted", "Pass 'nat/token', for one")
    if unit == "nat/token":
        return values
    if unit == "bit/token":
        return np.asarray(values * math.log(2.0))
    if unit == "perplexity":
        with np.errstate(all="ignore"):
            return np.asarray(np.log(values))
    if unit in ("bit/byte", "nat/byte"):
        if bytes_per_token is None:
            raise ArgumentError(
                f"A loss in {unit} becomes nats per token by the bytes per token alone",
                "nothing was converted",
                f"Give {arg('bytes_per_token')}",
            )
        nats = values * (math.log(2.0) if unit == "bit/byte" else 1.0)
        return np.asarray(nats * np.asarray(bytes_per_token, float))
    raise ArgumentError(
        f"Unknown loss unit {unit!r}",
        "nothing was converted",
        known(unit, ("nat/token", "bit/token", "bit/byte", "nat/byte", "perplexity")),
    )


@dataclass(frozen=True, slots=True)
class ParameterCounts:
    """Parameters of an architecture by group, so that every convention is a sum of groups.

    Attributes
    ----------
    token_embedding, position, attention, feed_forward, norms, head : int
        Parameters of each group; a tied head has none of its own.
    dense_and_norm : int
        The output matrices of attention and the norms, where they are counted together as appendix D of Niu et al.
        does; zero otherwise.
    n_layers, d_emb : int
        Layers (of all stacks) and width, for the counts over ``n_layers * d_emb**2``.
    """

    token_embedding: int
    position: int
    attention: int
    feed_forward: int
    norms: int
    head: int
    n_layers: int
    d_emb: int
    dense_and_norm: int = 0

    @property
    def groups(self) -> dict[str, int]:
        """The counts by name."""
        middle = ("dense_and_norm", "feed_forward") if self.dense_and_norm else ("feed_forward", "norms")
        return {name: getattr(self, name) for name in ("token_embedding", "position", "attention", *middle, "head")}

    @property
    def total(self) -> int:
        """Every parameter."""
        return sum(self.groups.values())

    @property
    def blocks(self) -> int:
        """Attention, feed-forward and norms, the last norm included."""
        return self.attention + self.feed_forward + self.norms + self.dense_and_norm

    @property
    def non_embedding(self) -> int:
        """All but embeddings and head: N of Kaplan et al. 2020, with biases and norms."""
        return self.blocks

    @property
    def per_layer_width2(self) -> dict[str, float]:
        """Each group over ``n_layers * d_emb**2``: the constant A of ``N = A l d_emb^2``, by group."""
        return {name: count / (self.n_layers * self.d_emb**2) for name, count in self.groups.items()}


ARCHITECTURES = ("gpt2", "vanilla", "encoder_decoder")


def count_parameters(
    n_layers: int,
    d_emb: int,
    *,
    T_max: int = 0,
    vocab_size: int = 0,
    d_ff: int | None = None,
    tied: bool = True,
    bias: bool = True,
    head_bias: bool = False,
    architecture: str = "gpt2",
    convention: str = "exact",
) -> ParameterCounts:
    """Count the parameters of a transformer by group.

    Parameters
    ----------
    n_layers, d_emb : int
        Layers (of each stack) and embedding width; heads do not matter.
    T_max : int
        Context length [tokens], for learned positions; 0 leaves them out.
    vocab_size : int
        Vocabulary; 0 leaves embedding and head out.
    d_ff : int, optional
        Inner width of the feed-forward layers; ``4 * d_emb`` by default.
    tied : bool
        Whether the head is the token embedding.
    bias : bool
        Whether linear layers and norms have biases.
    head_bias : bool
        Whether the head has a bias (one per token of the vocabulary).
    architecture : {"gpt2", "vanilla", "encoder_decoder"}
        ``"gpt2"``: pre-norm with a last norm, learned positions. ``"vanilla"``: one causal stack of the 2017 block,
        post-norm, sinusoidal positions (no parameters). ``"encoder_decoder"``: Vaswani et al. 2017
        (arXiv:1706.03762), two stacks, the second with cross-attention.
    convention : {"exact", "paper"}
        ``"paper"``: the three groups of a GPT-2's blocks as appendix D of Niu et al. (2024, arXiv:2405.08707) counts
        them, without half of the biases and norms: attention ``3 l d^2``, dense and norm ``l (d^2 + 2 d)``,
        feed-forward ``l (2 d d_ff + d + d_ff)``. For its GPT-2 medium (24, 1024, d_ff 3072) they sum to 10.0 times
        ``l d^2``, where the paper says 15; the released model has d_ff = 4096 and, with embeddings, 14.1.

    Returns
    -------
    ParameterCounts

    Raises
    ------
    ArgumentError
        A size that is not an integer of the right sign, or an unknown word.

    Examples
    --------
    >>> count_parameters(12, 768, T_max=1024, vocab_size=50257).total  # GPT-2 small
    124439808
    >>> printed = count_parameters(24, 1024, d_ff=3072, convention="paper")
    >>> printed.attention, printed.dense_and_norm, printed.feed_forward
    (75497472, 25214976, 151093248)
    """
    if not one_of(architecture, ARCHITECTURES):
        raise ArgumentError(
            f"{arg('architecture', architecture)} is not known",
            "nothing was counted",
            known(architecture, ARCHITECTURES),
        )
    if not one_of(convention, ("exact", "paper")):
        raise ArgumentError(
            f"{arg('convention', convention)} is not known", "nothing was counted", "Known: exact, paper"
        )
    for name, flag in (("tied", tied), ("bias", bias), ("head_bias", head_bias)):
        if not isinstance(flag, (bool, np.bool_)):
            raise ArgumentError(f"{arg(name, flag)} is not a truth value", "nothing was counted", "Give True or False")
    layers, d = _size("n_layers", n_layers, 1), _size("d_emb", d_emb, 1)
    context, vocabulary = _size("T_max", T_max, 0), _size("vocab_size", vocab_size, 0)
    inner = 4 * d if d_ff is None else _size("d_ff", d_ff, 1)
    embeddings = {
        "token_embedding": vocabulary * d,
        "position": context * d if architecture == "gpt2" else 0,
        "head": (0 if tied else vocabulary * d) + (vocabulary if head_bias else 0),
    }
    if convention == "paper":
        if architecture != "gpt2" or not bias:
            raise ArgumentError(
                f"{arg('convention', 'paper')} counts a GPT-2 with biases",
                "nothing was counted",
                f"Leave out {arg('architecture')} and {arg('bias')}",
            )
        return ParameterCounts(
            **embeddings,
            attention=3 * layers * d * d,
            feed_forward=layers * (2 * d * inner + d + inner),
            norms=0,
            dense_and_norm=layers * (d * d + 2 * d),
            n_layers=layers,
            d_emb=d,
        )
    one = int(bool(bias))
    norm = d + one * d
    stacks = 2 if architecture == "encoder_decoder" else 1
    crossed = layers if architecture == "encoder_decoder" else 0
    return ParameterCounts(
        **embeddings,
        attention=(stacks * layers + crossed) * (4 * d * d + one * 4 * d),
        feed_forward=stacks * layers * (2 * d * inner + one * (d + inner)),
        norms=(2 * stacks * layers + crossed + (architecture == "gpt2")) * norm,
        n_layers=stacks * layers,
        d_emb=d,
    )


def _size(name: str, value: int, least: int) -> int:
    number = value if isinstance(value, (int, float, np.integer, np.floating)) and abs(value) < 1e300 else None
    if number is None or isinstance(value, bool) or not math.isfinite(number) or number != int(number):
        raise ArgumentError(
            f"{arg(name, value)} is out of range", "nothing was counted", f"Give a whole number of at least {least}"
        )
    if number < least:
        raise ArgumentError(f"{arg(name, value)} is out of range", "nothing was counted", f"Give at least {least}")
    return int(number)

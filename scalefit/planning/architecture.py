"""A concrete transformer for a number of parameters: layers, width, heads, with counts by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._arguments import check_count, check_quantity
from scalefit._text import count, known
from scalefit.counting import ParameterCounts, count_parameters
from scalefit.errors import ArgumentError, Note, arg, spoken, way
from scalefit.planning.published_rules import Recipe, recipes
from scalefit.planning.shape_search import nearest_shape

# Brown et al. (2020), arXiv:2005.14165, table 2.1: parameters, layers, width.
_SHAPES = np.array(
    [
        (125e6, 12, 768),
        (350e6, 24, 1024),
        (760e6, 24, 1536),
        (1.3e9, 24, 2048),
        (2.7e9, 32, 2560),
        (6.7e9, 32, 4096),
        (13e9, 40, 5140),
        (175e9, 96, 12288),
    ]
)
SOURCE = "width over depth as in Brown et al. (2020), arXiv:2005.14165, table 2.1, interpolated in ln N"
#: A model with more of its parameters than this in its embeddings is not a transformer worth planning.
_MOSTLY_VOCABULARY = 0.85
#: Learning rates of published rules that differ by more are named.
_DIFFER = 1.2
#: Widths are tried up to this one.
_WIDEST = 65536
#: Named count of `tables.PARAMS_CONVENTIONS` -> what it counts here.
_COUNTED = {
    "total": lambda counts: counts.total,
    "non_embedding": lambda counts: counts.blocks,
    "matrices": lambda counts: counts.attention + counts.feed_forward + max(counts.head, counts.token_embedding),
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """A decoder of the GPT-2 kind with about the parameters asked for.

    Attributes
    ----------
    n_layers, d_emb, n_heads, d_ff, vocab_size, T_max : int
        Layers, width, heads, inner width, vocabulary, context [tokens].
    tied : bool
        Whether the head is the token embedding.
    counts : ParameterCounts
        Parameters by group.
    params : str
        What the N that was asked for counts.
    N : int
        Its count under that convention [parameters].
    off_by : float
        N over the number asked for, less 1.
    recipes : dict of str to Recipe
        Learning rate and batch size by published rules.
    source : str
        Where the shape comes from.
    """

    n_layers: int
    d_emb: int
    n_heads: int
    d_ff: int
    vocab_size: int
    T_max: int
    tied: bool
    counts: ParameterCounts
    params: str
    N: int
    off_by: float
    recipes: dict[str, Recipe]
    source: str = SOURCE

    def __str__(self) -> str:
        groups = ", ".join(f"{name} {count(n)}" for name, n in self.counts.groups.items() if n)
        lines = [
            f"{self.n_layers} layers x {self.d_emb} wide, {self.n_heads} heads, d_ff {self.d_ff}, vocabulary "
            f"{self.vocab_size}, context {self.T_max}: N = {count(self.N, 4)} ({self.params}, {self.off_by:+.1%})",
            f"  parameters: {groups}",
        ]
        lines += [
            f"  {rule.rule}: peak learning rate {rule.learning_rate:.2e}, batch {count(rule.batch_tokens)} tokens "
            f"({rule.source}; {rule.remark}"
            f"{f'; {rule.beyond:.2g} times beyond its largest model' if rule.beyond > 1.5 else ''})"
            for rule in self.recipes.values()
        ]
        rates = [rule.learning_rate for rule in self.recipes.values()]
        if rates and max(rates) > _DIFFER * min(rates):
            lines.append(
                f"  these rules differ {max(rates) / min(rates):.2g} times in the learning rate and have no intervals; "
                f"{spoken(way('sf.fit_hyperparameters', 'scalefit hyperparameters'))} gives one rate with an interval "
                "from a sweep of your own"
            )
        return "\n".join(lines)


def architecture_for(
    N: float | str,
    D: float | str | None = None,
    *,
    params: str = "total",
    vocab_size: int = 50257,
    T_max: int = 2048,
    tied: bool = True,
    d_head: int | None = None,
) -> Architecture:
    """Layers, width and heads for a number of parameters.

    Parameters
    ----------
    N : float or str
        Parameters wanted [parameters].
    D : float or str, optional
        Training tokens [tokens], for learning-rate and batch-size rules.
    params : {"total", "non_embedding", "matrices"}
        What N counts.
    vocab_size, T_max : int
        Vocabulary and context length [tokens].
    tied : bool
        Whether the head is the token embedding.
    d_head : int, optional
        Width of a head; 64 below a width of 2048 and 128 from there by default.

    Returns
    -------
    Architecture
        The depth and width closest to N among shapes whose width over depth is near that of published models.

    Raises
    ------
    ArgumentError
        N is too small for its vocabulary, too large for any shape, or not known by this convention.

    Examples
    --------
    >>> shape = architecture_for(1.24e8, T_max=1024)
    >>> shape.n_layers, shape.d_emb, shape.n_heads
    (12, 768, 12)
    """
    if params not in _COUNTED:
        raise ArgumentError(
            f"{arg('params', params)} is not a count that a shape can be found for",
            "no shape was chosen",
            known(params, _COUNTED),
        )
    N, vocab_size, T_max = check_quantity("N", N), check_count("vocab_size", vocab_size), check_count("T_max", T_max)
    tokens = None if D is None else check_quantity("D", D)
    if d_head is not None:
        d_head = check_count("d_head", d_head)
    aspect = float(np.interp(np.log(N), np.log(_SHAPES[:, 0]), _SHAPES[:, 2] / _SHAPES[:, 1]))

    def counts_of(layers: int, width: int) -> ParameterCounts:
        return count_parameters(layers, width, T_max=T_max, vocab_size=vocab_size, tied=tied)

    # An error of 1 % in N weighs as much as one of 10 % in the shape.
    layers, width = nearest_shape(
        N, _widths(d_head), lambda d: _depths(d, aspect), lambda n, d: _COUNTED[params](counts_of(n, d)), aspect, 0.1
    )
    counts = counts_of(layers, width)
    count = _COUNTED[params](counts)
    vocabulary = 0.0 if params == "non_embedding" else counts.token_embedding / count
    if abs(np.log(count / N)) > 0.3 or vocabulary > _MOSTLY_VOCABULARY:
        raise _no_shape(N, params, vocab_size, count, vocabulary)
    rules = {} if tokens is None else recipes(counts.blocks, tokens, T_max)
    return Architecture(
        n_layers=layers,
        d_emb=width,
        n_heads=width // _head(width, d_head),
        d_ff=4 * width,
        vocab_size=vocab_size,
        T_max=T_max,
        tied=tied,
        counts=counts,
        params=params,
        N=count,
        off_by=count / N - 1,
        recipes=rules,
    )


def shape_for(
    N: float, n_layers: int | None, d_emb: int | None, T_max: int, vocab_size: int | None
) -> tuple[int, int, list[Note]]:
    """Return layers and width as given, or of a shape near published models, which a note names."""
    if n_layers is not None and d_emb is not None:
        return n_layers, d_emb, []
    if n_layers is not None or d_emb is not None:
        raise ArgumentError(
            f"{arg('n_layers', n_layers)} and {arg('d_emb', d_emb)}: one of the two was given",
            "nothing was computed",
            "Give both, or neither: a shape is then chosen",
        )
    given: dict[str, Any] = {} if vocab_size is None else {"vocab_size": vocab_size}
    chosen = architecture_for(N, T_max=T_max, **given)
    shape = {"n_layers": chosen.n_layers, "d_emb": chosen.d_emb, "T_max": T_max}
    named = ", ".join(arg(name, value) for name, value in shape.items())
    text = f"No shape was given; one near published models was chosen: {named}."
    return chosen.n_layers, chosen.d_emb, [Note("chosen_shape", "info", text, shape)]


def count_of(counts: ParameterCounts, params: str) -> int | None:
    """Number of parameters by a convention; None for conventions that fix no shape."""
    return _COUNTED[params](counts) if params in _COUNTED else None


def _no_shape(N: float, params: str, vocab_size: int, nearest: int, vocabulary: float) -> ArgumentError:
    """Return the error of a size that no shape has, with the way out there is."""
    if nearest < N * (1 - 1e-9) and vocabulary <= _MOSTLY_VOCABULARY:
        return ArgumentError(
            f"No transformer of a published shape up to {_WIDEST} wide has N = {count(N)} ({params})",
            "no shape was chosen",
            "Plan a smaller N",
        )
    return ArgumentError(
        f"No transformer with a vocabulary of {vocab_size} has N = {count(N)} ({params}); the nearest has "
        f"{count(nearest)}, {vocabulary:.0%} of them embeddings",
        "no shape was chosen",
        "Pass a smaller vocab_size, or count N without embeddings",
    )


def _head(width: int, d_head: int | None) -> int:
    return d_head if d_head is not None else 128 if width >= 2048 else min(64, width)


def _widths(d_head: int | None) -> list[int]:
    """Multiples of the head's width, in steps of a sixteenth at most; small ones for small models."""
    unit = 64 if d_head is None else d_head
    small = [16, 32, 48] if d_head is None else []
    wide = {int(round(float(w) / unit)) * unit for w in np.geomspace(unit, max(_WIDEST, unit), 160)}
    if d_head is None:
        wide = {w if w < 2048 else (w + 64) // 128 * 128 for w in wide}
    return small + sorted(wide)


def _depths(width: int, aspect: float) -> list[int]:
    """Depths within a factor of 2.5 of the published shape, at most 64 of them."""
    middle = width / aspect
    low, high = max(1, int(middle / 2.5)), max(2, int(np.ceil(middle * 2.5)))
    return sorted({int(v) for v in np.linspace(low, high, min(high - low + 1, 64))})

"""sf.entropy_bounds: bounds on the entropy of a corpus from its text alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from scalefit._arguments import check_count, check_level
from scalefit._calls import explained
from scalefit._typing import AnyArray, Array
from scalefit.corpora.adaptation import adapt, history_of, weights_for
from scalefit.corpora.divide import CHUNK
from scalefit.corpora.entropy_result import Bracket, EntropyBounds
from scalefit.corpora.kneser_ney import in_sample_entropies
from scalefit.corpora.learning import Learning, cluster_means, learn, mean_and_error
from scalefit.corpora.limits import extrapolate
from scalefit.corpora.read import Sample, read_corpus
from scalefit.errors import ArgumentError, Note, arg

#: Contexts of the n-grams [tokens], for bytes and for other tokens.
_BYTES, _TOKENS = 11, 7
#: A bracket wider than this share of its upper end determines nothing.
_WIDEST = 0.2
#: Gains below this share of the loss are not taken for dependence far back, whatever their error.
_SMALL = 1e-3


@explained
def entropy_bounds(
    corpus: Any,
    *,
    tokenizer: str = "byte",
    max_context: int | None = None,
    max_tokens: int = 1_000_000,
    heldout: str | None = None,
    model: Any = None,
    level: float = 0.9,
    seed: int = 0,
) -> EntropyBounds:
    """Bound the entropy of a corpus [nat/token] from its text alone.

    There is always an **upper bound**: the loss of the best model on text that it was not trained on, plus its error.
    The models are n-grams (interpolated modified Kneser-Ney), and the best of them adapted to the earlier part of the
    piece.

    A **lower bound** needs an assumption that no text can prove: that tokens further back carry no information. The
    entropy of the training part's own n-gram frequencies is then below the truth in expectation. If n-grams stop
    gaining at n tokens, the entropy lies between the frequencies' entropy at n + 1 tokens and the loss at n. This is
    an estimate if the bracket is narrow and distant tokens did not help; else the entropy is not determined.

    Parameters
    ----------
    corpus : path, str, list of str, ndarray of int, list of ndarray, Corpus or CorpusConfig
        A file, folder or glob of text (``"stdlib"``: Python's own library); a text; documents; token ids; or a corpus
        of `scalefit.training`, whose own held-out part is used, and whose entropy is exact if its source knows it.
    tokenizer : str
        For text: ``byte``, ``bpe:V`` (trained on the training part), ``words``, ``hf:/local/path``.
    max_context : int, optional
        Longest context of the n-grams [tokens]; 11 for bytes, else 7.
    max_tokens : int
        Training tokens [tokens]. Time and memory grow with it: about 10 seconds and 0.3 GB for a million bytes.
    heldout : {"document", "chunk"}, optional
        What is held out; by default whole documents if there are 20 or more, else chunks.
    model : TrainedModel, optional
        A model of `scalefit.training.load_trained` for this corpus: its held-out loss is an upper bound too.
    level : float
        Coverage: one-sided for the upper bound, two-sided for the estimate's interval.
    seed : int
        Seed of what is drawn and held out.

    Returns
    -------
    EntropyBounds

    Raises
    ------
    ArgumentError
        No corpus, or an option that is not allowed.
    DataError
        Files that cannot be read, or too little in them.

    References
    ----------
    Chen & Goodman (1999), doi:10.1006/csla.1999.0128 (Kneser-Ney). Paninski (2003), doi:10.1162/089976603321780272
    (entropies of frequencies are biased downwards).

    Examples
    --------
    >>> coin = np.random.default_rng(0).integers(0, 2, (40, 1000))  # ln 2 = 0.6931
    >>> found = entropy_bounds(coin)
    >>> found.upper > 0.693, bool(found.interval[0] < np.log(2) < found.interval[1])
    (True, True)
    """
    check_level(level)
    if max_context is not None:
        max_context = check_count("max_context", max_context, least=2)
    if model is not None:
        _check_model(model, corpus)
    sample = read_corpus(corpus, tokenizer=tokenizer, max_tokens=max_tokens, heldout=heldout, seed=seed)
    deepest = max_context or (_BYTES if sample.tokenizer == "byte" else _TOKENS)
    learning = learn(sample, deepest + 1)
    halves = _halves(sample, seed)
    adapted = _adapted(sample, learning, halves)
    scored = _Scored.of(sample, [*learning.each, adapted], halves)
    names = [f"n-gram, {n} back" for n in range(deepest + 1)] + ["n-gram with its piece's history"]
    upper, upper_model = scored.upper(names, 1 - level if model is None else (1 - level) / 2)
    table = _table(names, scored, learning)
    notes = list(sample.notes)
    if model is not None:
        mean, error = map(float, model.loss("val"))
        table.loc[len(table)] = {"model": "trained model", "loss": mean, "se": error, "context": np.nan}
        limit = mean - float(stdtrit(30, (1 - level) / 2)) * error
        upper, upper_model = min((upper, upper_model), (limit, "trained model"))
    bracket, why_not = _bracket(sample, learning, scored, level)
    context = _last_gain(scored, deepest)
    reach = scored.student((1 - level) / 2) * scored.loss(context)[1]
    further = extrapolate(learning, context, scored.gain(context, -1)[0], reach)
    return EntropyBounds(
        table=table,
        upper=upper,
        upper_model=upper_model,
        from_text=bracket,
        why_not=why_not,
        extrapolation=further,
        exact=sample.entropy,
        sizes=pd.DataFrame(learning.loss, index=pd.Index(learning.tokens, name="tokens")),
        level=level,
        bytes_per_token=sample.bytes_per_token,
        tokenizer=sample.tokenizer,
        n_train=sample.n_train,
        n_heldout=sample.n_heldout,
        corpus=sample.describe(),
        notes=(*notes, *_cautions(sample)),
    )


@dataclass(frozen=True, eq=False)
class _Scored:
    """Losses of models on the held-out part by cluster, and the two halves that choose for each other."""

    means: Array  # (n_models, n_clusters)
    sizes: Array
    half: AnyArray  # bool (n_clusters,)

    @classmethod
    def of(cls, sample: Sample, losses: list[Array], half: AnyArray) -> _Scored:
        pairs = [cluster_means(loss, sample) for loss in losses]
        return cls(np.array([mean for mean, _ in pairs]), pairs[0][1], half)

    def loss(self, i: int) -> tuple[float, float]:
        return mean_and_error(self.means[i], self.sizes)

    def gain(self, worse: int, better: int) -> tuple[float, float]:
        """Mean and error of what one model gains over another, cluster by cluster."""
        return mean_and_error(self.means[worse] - self.means[better], self.sizes)

    def student(self, tail: float) -> float:
        return -float(stdtrit(max(len(self.sizes) - 1, 1), tail))

    def upper(self, names: list[str], tail: float) -> tuple[float, str]:
        """One-sided limit of the loss of the model that the other half of the clusters chose."""
        values = np.empty(len(self.sizes))
        chosen = []
        for half in (self.half, ~self.half):
            best = int(np.argmin(self.means[:, ~half] @ self.sizes[~half]))
            values[half] = self.means[best, half]
            chosen.append(names[best])
        mean, error = mean_and_error(values, self.sizes)
        return mean + self.student(tail) * error, " / ".join(dict.fromkeys(chosen))


def _halves(sample: Sample, seed: int) -> AnyArray:
    n = int(sample.clusters.max()) + 1
    half = np.zeros(n, bool)
    half[np.random.default_rng([seed, 77]).permutation(n)[: n // 2]] = True
    return half


def _adapted(sample: Sample, learning: Learning, half: AnyArray) -> Array:
    """Losses with the piece's own history; what it weighs is learned on one half of the clusters for the other."""
    history = history_of(sample.heldout, sample.vocab_size)
    inside = np.repeat(half[sample.clusters], [len(piece) for piece in sample.heldout])
    losses = np.empty(len(inside))
    for here in (inside, ~inside):
        base = learning.probability[int(np.argmin(learning.each[:, ~here].mean(axis=1)))]
        weights = weights_for(base, history, ~here)
        losses[here] = -np.log(adapt(base, history, weights)[here])
    return losses


def _bracket(sample: Sample, learning: Learning, scored: _Scored, level: float) -> tuple[Bracket | None, str]:
    """The entropy between two bounds, or why it is not determined."""
    last = len(learning.in_sample) - 1
    context = _last_gain(scored, last)
    if context == last:
        return None, f"n-grams still gain at the longest context, {last} tokens"
    t = scored.student((1 - level) / 2)
    loss, error = scored.loss(context)
    by_piece = in_sample_entropies(sample.train, context + 1, sample.vocab_size)
    weights = np.array([len(piece) for piece in sample.train], float)
    groups = np.unique(sample.documents, return_inverse=True)[1]
    if groups.max() > 0:  # pieces of one document are not independent
        by_piece = np.bincount(groups, by_piece * weights) / np.bincount(groups, weights)
        weights = np.bincount(groups, weights)
    under, under_error = mean_and_error(by_piece, weights)
    if len(by_piece) < 3:  # no scatter to be seen: that of the held-out part, over so many more tokens
        under_error = error * np.sqrt(sample.n_heldout / sample.n_train)
    lower, upper = under - t * under_error, loss + t * error
    gain, gain_error = scored.gain(context, -1)
    learned = 3 * (loss - under) * CHUNK / sample.n_train + _SMALL * loss  # a piece teaches what is not known yet
    if gain > max(learned, scored.student(0.01) * gain_error):
        return None, (
            f"what stands earlier in the same piece, further back than {context} tokens, lowers the loss by {gain:.3g} "
            "nat/token: the text depends on more than n-grams see"
        )
    if upper - lower > _WIDEST * upper:
        return None, (
            f"n-grams stop gaining at {context} tokens of context, but only because longer ones are too rare to learn: "
            f"the text alone leaves {max(lower, 0):.3g} to {upper:.3g} nat/token"
        )
    value = float(np.clip(np.nan_to_num(learning.limit()[0][context], nan=(under + loss) / 2), lower, upper))
    return Bracket(value, max(lower, 0.0), upper, context), ""


def _last_gain(scored: _Scored, last: int) -> int:
    """Longest context that brought a gain beyond its error."""
    best = int(np.argmin([scored.loss(n)[0] for n in range(last + 1)]))
    return next(n for n in range(best + 1) if n == best or _no_gain(scored, n, best))


def _no_gain(scored: _Scored, n: int, best: int) -> bool:
    gain, error = scored.gain(n, best)
    return gain < scored.student(0.05) * error


def _table(names: list[str], scored: _Scored, learning: Learning) -> pd.DataFrame:
    limit, more = learning.limit()
    rows = []
    for i, name in enumerate(names):
        mean, error = scored.loss(i)
        row: dict[str, Any] = {"model": name, "context": np.nan, "loss": mean, "se": error}
        row |= {"in_sample": np.nan, "limit": np.nan, "limit_error": np.nan}
        if i < len(learning.in_sample):
            row |= {"context": i, "in_sample": learning.in_sample[i], "limit": limit[i], "limit_error": more[i]}
        rows.append(row)
    return pd.DataFrame(rows)


def _check_model(model: Any, corpus: Any) -> None:
    """Refuse what has no held-out loss, and a model of another corpus."""
    own = getattr(model, "corpus", None)
    if not callable(getattr(type(model), "loss", None)) or own is None:
        raise ArgumentError(
            f"{arg('model', model)} has no held-out loss",
            "nothing was computed",
            "Give what scalefit.training.load_trained returns",
        )
    if getattr(corpus, "config", corpus) != own.config:
        raise ArgumentError(
            f"{arg('model')} was trained on another corpus than this one",
            "nothing was computed",
            "Give model.corpus as corpus",
        )


def _cautions(sample: Sample) -> list[Note]:
    if sample.split != "chunk":
        return []
    text = (
        "The held-out chunks share their documents with the training part, whose names and topics repeat: the bound is "
        "that of more text from the same documents."
    )
    return [Note("same_documents", "info", text)]

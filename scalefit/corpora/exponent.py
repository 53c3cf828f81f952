"""sf.predict_exponent: the exponent of loss in data from the correlations and n-gram entropies of a text.

Cagnetta, Raventos, Ganguli & Wyart (2026), arXiv:2602.07488.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalefit._arguments import check_level, check_number, one_of
from scalefit._calls import explained
from scalefit._text import several
from scalefit._typing import AnyArray, Array
from scalefit.corpora.correlations import CENTRINGS, MOST_TOKENS, Centring, Correlations, correlations
from scalefit.corpora.exponent_result import Decay, ExponentPrediction, data_exponent
from scalefit.corpora.learning import Learning, learn
from scalefit.corpora.read import Sample, read_corpus
from scalefit.errors import ArgumentError, Note, arg

#: Windows of lags [tokens] whose exponents show how far the choice matters.
WINDOWS = ((1.0, 8.0), (1.0, 16.0), (1.0, 32.0), (2.0, 64.0))
#: Lags that a window must hold above the noise before an exponent is taken from it.
LEAST_LAGS = 4
#: How much better, in log likelihood, one form must fit before the other is dropped.
_CLEARLY = 2.0
#: Errors above zero at which a correlation far out counts against an exponential decay.
_SURELY = 4.0
#: Times the floor at which a norm would surely have been seen.
_SEEN = 1.15
#: Contexts that gamma is read over, whatever has converged.
_FEWEST, _MOST = 2, 4
_ORDERS = 8


@explained
def predict_exponent(
    corpus: Any,
    *,
    window: tuple[float, float] = (1, 16),
    centring: Centring = "document",
    entropy: float = 0.0,
    tokenizer: str = "bpe:512",
    max_tokens: int = 2_000_000,
    heldout: str | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> ExponentPrediction:
    r"""Predict the exponent of the loss in data from the correlations and n-gram entropies of a text; not for a prior.

    By Cagnetta et al. (2026) the operator norm of the co-occurrences at distance n falls as :math:`n^{-\beta}`, the
    entropy of the next token given n before it as :math:`H_n - H_\infty \sim n^{-\gamma}`, and the loss of a model
    limited only by data as :math:`P^{-\gamma / 2\beta}` in the tokens P. Here beta comes from counts above their noise,
    and gamma from the losses of n-grams that have converged.

    Both depend on the window, the centring and the value of :math:`H_\infty`, so every such choice is computed and the
    range is printed. On each of three texts the prediction was 1.4 to 2.2 times the exponent that an n-gram model
    measured.

    Parameters
    ----------
    corpus : path, str, list of str, ndarray of int, list of ndarray, Corpus or CorpusConfig
        As `scalefit.entropy_bounds` takes it.
    window : (float, float)
        Distances over which beta is fitted [tokens].
    centring : {"document", "pooled"}
        Whose marginals are subtracted: each document's, or those of all (the authors' definition). If documents differ
        in their words, the latter correlations do not decay.
    entropy : float
        The :math:`H_\infty` to subtract from the losses [nat/token]: 0, as in the authors' figures, or your own value.
    tokenizer : str
        For text: ``bpe:V``, ``byte``, ``words``, ``hf:/local/path``.
    max_tokens : int
        Training tokens [tokens]. Two million of BPE take about 40 seconds of CPU and 1.3 GB.
    heldout : {"document", "chunk"}, optional
        What the n-grams are scored on.
    level : float
        Coverage of beta's own interval between lags.
    seed : int
        Seed of what is drawn and held out.

    Returns
    -------
    ExponentPrediction

    Raises
    ------
    ArgumentError
        No corpus, or an option that is not allowed.
    DataError
        Files that cannot be read, or too little in them.

    Examples
    --------
    >>> dice = np.random.default_rng(0).integers(0, 6, (50, 1000))
    >>> found = predict_exponent(dice)
    >>> found.exponent is None, found.decay.kind
    (True, 'none')
    """
    check_level(level)
    low, high = _checked_window(window)
    if not one_of(centring, CENTRINGS):
        raise ArgumentError(
            f"{arg('centring', centring)} is not known", "nothing was computed", "Use 'document' or 'pooled'"
        )
    floor = check_number("entropy", entropy)
    sample = read_corpus(corpus, tokenizer=tokenizer, max_tokens=max_tokens, heldout=heldout, seed=seed)
    longest = int(max(high, *(b for _, b in WINDOWS)))
    curves: dict[str, Correlations] = {
        name: correlations(sample.train, sample.documents, sample.vocab_size, longest=longest, centring=name, seed=seed)
        for name in CENTRINGS
    }
    decay = decay_of(curves[centring], low, high, level)
    learning = learn(sample, _ORDERS)
    loss, best = learning.loss[-1], learning.loss.min(axis=1)
    if not floor < best[-1]:
        raise ArgumentError(
            f"{arg('entropy', shown=f'{floor:g}')} is not below the best loss found, {best[-1]:.4g} nat/token, so no "
            "power law falls towards it",
            "nothing was predicted",
            "Give a lower one",
        )
    converged = learning.converged()
    contexts = int(np.clip(converged, _FEWEST, _MOST))
    gamma = _gamma(loss, contexts, floor)
    table = _choices(curves, sample, learning, floor, level, (low, high), seed) if decay.kind == "power law" else None
    exponent = data_exponent(gamma, decay.beta) if decay.kind == "power law" and gamma is not None else None
    return ExponentPrediction(
        exponent=None if exponent is None else exponent[0],
        decay=decay,
        gamma=gamma,
        entropy=floor,
        window=(low, high),
        centring=centring,
        contexts=contexts,
        converged=converged,
        table=pd.DataFrame(columns=["window", "centring", "part", "entropy", "contexts", "beta", "gamma", "exponent"])
        if table is None
        else table,
        curves=curves,
        losses=loss,
        n_gram=_local(learning.tokens, best - floor),
        corpus=sample.describe(),
        tokenizer=sample.tokenizer,
        level=level,
        notes=(*sample.notes, *_remarks(sample, converged, table, decay)),
    )


def _checked_window(window: Any) -> tuple[float, float]:
    try:
        low, high = (check_number("window", value) for value in window)
    except (TypeError, ValueError):
        low = high = 0.0
    if not 1 <= low < high <= 4096:
        raise ArgumentError(
            f"{arg('window', window)} is not a range of distances",
            "nothing was computed",
            "Give two, such as (1, 16), from 1 to 4096 tokens",
        )
    return low, high


def decay_of(found: Correlations, low: float, high: float, level: float) -> Decay:
    """How norms fall over the lags of a window: as a power, exponentially, or undecided."""
    use = found.kept & (found.lag >= low) & (found.lag <= high)
    n = int(use.sum())
    if n == 0:
        return Decay("none", n)
    if n < LEAST_LAGS:
        return Decay("too few lags", n)
    x, y = found.lag[use], np.log(found.norm[use])
    slope, rms = _line(np.log(x), y)
    rate, other = _line(x, y)
    better = n * np.log(max(rms, 1e-12) / max(other, 1e-12))  # log likelihood of the exponential over the power
    outlived, ended = _outlives(found, use, rate), _ends_early(found, use, slope)
    if slope >= 0 or rate >= 0:
        kind = "no decay"
    elif outlived or ended:
        kind = "neither" if outlived and ended else "power law" if outlived else "exponential"
    elif abs(better) < _CLEARLY:
        kind = "power or exponential"
    else:
        kind = "exponential" if better > 0 else "power law"
    spread = _between_lags(np.log(x), y)
    tail = (1 - level) / 2
    lower, upper = np.quantile(spread, [tail, 1 - tail]) if len(spread) else (np.nan, np.nan)
    scale = float(np.exp((y + -slope * np.log(x)).mean()))
    return Decay(kind, n, -slope, float(spread.std()), (float(lower), float(upper)), rms, other, -1 / rate, scale)


def _outlives(found: Correlations, use: AnyArray, rate: float) -> bool:
    """Whether correlations further on are clearly above what an exponential leaves of the last lag used.

    A cross-validated norm is never above the true one, so those below the floor speak too.
    """
    last = int(np.flatnonzero(use)[-1])
    later = found.lag > found.lag[last]
    left = found.norm[last] * np.exp(rate * (found.lag - found.lag[last]))
    return bool((later & (found.norm - _SURELY * found.error > 2 * left)).any())


def _ends_early(found: Correlations, use: AnyArray, slope: float) -> bool:
    """Whether a power law would have been seen in the next octave, above the floor, where nothing was."""
    last = int(np.flatnonzero(use)[-1])
    later = (found.lag > found.lag[last]) & (found.lag <= 2 * found.lag[last]) & ~found.kept
    left = found.norm[last] * (found.lag / found.lag[last]) ** slope
    return bool((later & (left > _SEEN * found.floor)).any())


def _line(x: Array, y: Array) -> tuple[float, float]:
    """Slope of y over x, and the root mean square of what is left."""
    slope, start = np.polyfit(x, y, 1)
    return float(slope), float(np.sqrt(np.mean((y - start - slope * x) ** 2)))


def _between_lags(x: Array, y: Array, draws: int = 300) -> Array:
    """Exponents of resampled lags."""
    rng = np.random.default_rng(1)
    picked = rng.integers(0, len(x), (draws, len(x)))
    return np.array([-np.polyfit(x[i], y[i], 1)[0] for i in picked if len(set(i.tolist())) > 2])


def _gamma(loss: Array, contexts: int, floor: float) -> float | None:
    """Exponent of loss over context 1 ... `contexts`; None where the loss does not fall or is not above the floor."""
    above = loss[1 : contexts + 1] - floor
    if not (above > 0).all():
        return None
    slope = -_line(np.log(np.arange(1, contexts + 1)), np.log(above))[0]
    return slope if slope > 0 else None


def _free_floor(loss: Array, contexts: int) -> float:
    """H_inf that makes the losses a power law best."""
    x = np.log(np.arange(1, contexts + 1))
    y = loss[1 : contexts + 1]
    trials = np.linspace(0, 0.98 * y.min(), 60)
    return float(min(trials, key=lambda floor: _line(x, np.log(y - floor))[1]))


def _local(tokens: AnyArray, above: Array) -> Array:
    """Exponents of the best n-gram's loss over each doubling of the training part."""
    return np.asarray(-np.diff(np.log(above)) / np.diff(np.log(tokens)))


def _choices(
    curves: dict[str, Correlations],
    sample: Sample,
    learning: Learning,
    floor: float,
    level: float,
    window: tuple[float, float],
    seed: int,
) -> pd.DataFrame:
    """The prediction for every window, centring, part of the corpus, number of contexts and reading of H_inf."""
    windows = sorted({window, *WINDOWS})
    betas = [
        (f"{low:g}-{high:g}", centring, "all", decay_of(found, low, high, level))
        for (low, high), (centring, found) in itertools.product(windows, curves.items())
    ]
    for number, (pieces, documents) in enumerate(_quarters(sample, seed), start=1):
        found = correlations(
            pieces, documents, sample.vocab_size, longest=int(window[1]), centring="document", seed=seed
        )
        name = f"{window[0]:g}-{window[1]:g}"
        betas.append((name, "document", f"quarter {number}", decay_of(found, *window, level)))
    gammas = []
    for contexts in range(_FEWEST, _MOST + 1):
        floors = {floor} | ({_free_floor(learning.loss[-1], contexts)} if contexts > _FEWEST + 1 else set())
        gammas += [(one, contexts, _gamma(learning.loss[-1], contexts, one)) for one in sorted(floors)]
    rows = [
        (*names, one, contexts, decay.beta, gamma, data_exponent(gamma, decay.beta)[0])
        for *names, decay in betas
        if decay.n_lags >= LEAST_LAGS and decay.beta > 0
        for one, contexts, gamma in gammas
        if gamma is not None
    ]
    columns = ["window", "centring", "part", "entropy", "contexts", "beta", "gamma", "exponent"]
    return pd.DataFrame(rows, columns=columns)


def _quarters(sample: Sample, seed: int) -> list[tuple[Sequence[AnyArray], AnyArray]]:
    """Four disjoint parts of the training pieces of about the same size; none where there are few pieces."""
    if len(sample.train) < 8:
        return []
    order = np.random.default_rng([seed, 4]).permutation(len(sample.train))
    return [([sample.train[i] for i in part], sample.documents[part]) for part in np.array_split(order, 4)]


def _remarks(sample: Sample, converged: int, table: pd.DataFrame | None, decay: Decay) -> list[Note]:
    notes = []
    if table is not None and decay.rms_power > decay.rms_exponential:
        text = (
            "In the window correlations fall ever faster, and further out they outlive any exponential: neither form "
            "fits, and beta is a mean over the window. Look at plot(), and try other windows."
        )
        notes.append(Note("bends", "warning", text))
    if sample.vocab_size > MOST_TOKENS:
        text = f"Tokens beyond the {MOST_TOKENS - 1:,} most frequent were counted as one: norms are those of the rest."
        notes.append(Note("lumped", "info", text, {"vocab_size": sample.vocab_size}))
    if table is not None and converged < _FEWEST:
        text = (
            f"The n-gram losses have converged in data for {several(converged, 'context')}, and an exponent needs "
            f"{_FEWEST}: gamma is read from losses that more text would lower. Raise {arg('max_tokens')}."
        )
        notes.append(Note("not_converged", "warning", text, {"converged": converged}))
    if table is not None:
        text = (
            "On Python's standard library, 73 books and Shakespeare this prediction was 1.4 to 2.2 times the exponent "
            "that an n-gram model measured there. Do not use it as a prior of a fit's data exponent."
        )
        notes.append(Note("over_predicts", "warning", text))
    return notes

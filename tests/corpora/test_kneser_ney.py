"""The n-gram model: probabilities, against a plain computation by the book and by its own laws."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalefit.corpora.adaptation import adapt, history_of, weights_for
from scalefit.corpora.kneser_ney import in_sample_entropies, n_gram_orders


def by_the_book(train, context, vocab, order):
    """Chen & Goodman's interpolated modified Kneser-Ney by dictionaries, for one context, all next tokens."""

    def discounts(counts):
        n = Counter(min(c, 5) for c in counts)
        if min(n[1], n[2], n[3]) == 0:
            return [0.0, 0.5, 0.5, 0.5]
        y = n[1] / (n[1] + 2 * n[2])
        raw = [0.0] + [k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3)]
        return [float(np.clip(d, 0.01 if k else 0.0, k)) for k, d in enumerate(raw)]

    padded = [vocab, *train]
    grams = {k: Counter(tuple(padded[i : i + k]) for i in range(len(padded) - k + 1)) for k in range(1, order + 1)}
    grams = {k: Counter({g: c for g, c in found.items() if g[-1] != vocab}) for k, found in grams.items()}
    p = np.full(vocab, 1 / vocab)
    for k in range(1, order + 1):
        counts = grams[k]
        if k < order:
            before = defaultdict(set)
            for gram in grams[k + 1]:
                before[gram[1:]].add(gram[0])
            counts = {gram: len(found) for gram, found in before.items()}
        d = discounts(counts.values())
        here = tuple(context[len(context) - k + 1 :])
        row = np.array([counts.get((*here, t), 0) for t in range(vocab)])
        if row.sum():
            cut = np.array([d[min(c, 3)] for c in row])
            p = (row - cut + cut.sum() * p) / row.sum()
    return p


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_are_those_of_the_book(order):
    rng = np.random.default_rng(order)
    train = np.concatenate([[0, 0], rng.choice(6, 400, p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04])])
    train = np.where(np.r_[False, train[:-1] == 0], (train + 1) % 6, train)
    held = rng.integers(0, 6, 40)
    found = n_gram_orders([train], [held], order, 6).probability[order - 1]
    for i in range(order, 40):
        assert found[i] == pytest.approx(by_the_book(train.tolist(), held[:i].tolist(), 6, order)[held[i]], rel=1e-9)


@given(st.lists(st.integers(0, 4), min_size=30, max_size=200), st.integers(1, 4))
def test_probabilities_over_the_vocabulary_sum_to_one(train, order):
    train = np.array(train)
    context = train[:order]
    pieces = [np.append(context, token) for token in range(5)]
    found = n_gram_orders([train], pieces, order, 5).probability[:, order :: order + 1]
    assert found.sum(axis=1) == pytest.approx(np.ones(order), abs=1e-9)
    assert (found > 0).all()


def test_in_sample_entropy_is_that_of_the_frequencies():
    rng = np.random.default_rng(0)
    pieces = [rng.integers(0, 4, n) for n in (300, 200, 500)]
    found = n_gram_orders(pieces, pieces, 3, 4).in_sample
    share = np.bincount(np.concatenate(pieces)) / 1000
    assert found[0] == pytest.approx(-(share * np.log(share)).sum())
    for n in range(3):
        size = np.array([300, 200, 500]) - n  # the first n tokens of long pieces are left out
        by_piece = in_sample_entropies(pieces, n, 4) @ size / size.sum()
        assert by_piece == pytest.approx(found[n], abs=0.01)
        whole = np.concatenate([np.stack([p[j : len(p) - n + j] for j in range(n + 1)], 1) for p in pieces])
        joint, before = (np.unique(w, axis=0, return_counts=True)[1] for w in (whole, whole[:, :n]))
        exact = [-(c / len(whole) * np.log(c / len(whole))).sum() for c in (joint, before)]
        assert by_piece == pytest.approx(exact[0] - (exact[1] if n else 0.0))


def test_history_counts_what_came_before_in_the_same_piece():
    pieces = [np.array([1, 2, 1, 2, 1]), np.array([1, 2])]
    found = history_of(pieces, 3)
    assert found.context[0].tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert found.token[0].tolist() == [0, 0, 1, 1, 2, 0, 0]
    assert found.context[1].tolist() == [0, 0, 0, 1, 1, 0, 0]  # after the token before
    assert found.token[1].tolist() == [0, 0, 0, 1, 1, 0, 0]


def test_history_helps_where_a_piece_repeats_itself_and_is_ignored_where_it_does_not():
    rng = np.random.default_rng(0)
    base = np.full(4000, 0.1)
    noise = [rng.integers(0, 10, 400) for _ in range(10)]
    every = np.ones(4000, bool)
    history = history_of(noise, 10)
    ignored = adapt(base, history, weights_for(base, history, every))
    assert -np.log(ignored).mean() == pytest.approx(np.log(10), abs=0.01)
    copies = [np.tile(rng.integers(0, 10, 20), 20) for _ in range(10)]
    history = history_of(copies, 10)
    assert -np.log(adapt(base, history, weights_for(base, history, every))).mean() < 0.5

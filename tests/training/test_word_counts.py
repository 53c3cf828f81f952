"""BPE trained on counted words is that of the tokenizers library trained on the text, character for character."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

pytest.importorskip("tokenizers", reason="tokenizers is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")

from tokenizers import pre_tokenizers

from scalefit.training.data import tokenizers as module
from scalefit.training.data import word_cache, word_counts
from scalefit.training.data.tokenizers import SubwordTokenizer
from scalefit.training.data.word_counts import WordCounts

CUTS = pre_tokenizers.ByteLevel(add_prefix_space=False)
PARTS = [
    "It's", " they'll", " don't", "\n\n ", "\t", " 12", "345", "...", " x\u00b2", " na\u00efve", "\u6f22\u5b57", " ",
    "  ", "\u2009", "abab", "aaaa", "ababab", "<|endoftext|>", "\u1f600", "_", "'s", "S", "\r\n",
]  # fmt: skip


def _texts(seed: int, n_texts: int = 40) -> list[str]:
    """Documents in which words come again and again, none alike."""
    rng = random.Random(seed)
    return ["".join(rng.choices(PARTS, k=rng.randrange(60))) for _ in range(n_texts)]


def _by_the_library(texts: list[str], vocab_size: int, monkeypatch: Any) -> str:
    with monkeypatch.context() as patch:
        patch.setitem(__import__("sys").modules, "pyarrow", None)
        made = SubwordTokenizer.train(texts, vocab_size)
        assert made._cache is None
    return str(made.spec["json"])


@pytest.mark.parametrize("seed", range(6))
def test_the_tokenizer_is_that_of_the_library(seed: int, monkeypatch: Any) -> None:
    texts, vocab_size = _texts(seed), 257 + 20 * (seed + 1)
    counted: list[int] = []
    lines = WordCounts.lines
    monkeypatch.setattr(WordCounts, "lines", lambda self: (counted.append(1), lines(self))[1])
    ours = SubwordTokenizer.train(texts, vocab_size)
    assert counted
    assert ours.spec["json"] == _by_the_library(texts, vocab_size, monkeypatch)


def test_words_and_counts_are_those_of_the_library(monkeypatch: Any) -> None:
    texts = _texts(1, 300)
    expected = Counter(word for text in texts for word, _ in CUTS.pre_tokenize_str(text))
    assert max(expected.values()) > word_counts.LINE / 8
    for name, value in (("BATCH", 50), ("LINE", 3), ("BATCH", 1 << 22)):
        monkeypatch.setattr(word_counts, name, value)
        for limit in (5, 1 << 25):  # pieces are turned into words again and again, or once
            for held in ("LARGEST", "LARGEST_TEXT"):
                with monkeypatch.context() as patch:
                    patch.setattr(word_cache, held, limit)
                    counts = WordCounts(CUTS)
                    counts.add(iter(texts))
                    lines = [line.split(" ") for line in counts.lines()]
                found = Counter(word for line in lines for word in line)
                assert found == {word: count if len(word) > 1 else 1 for word, count in expected.items()}
                assert max(map(len, lines)) <= word_counts.LINE


def test_what_is_held_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(word_cache, "LARGEST_TEXT", 2_000)
    monkeypatch.setattr(word_counts, "BATCH", 500)
    counts, held = WordCounts(CUTS), []
    fold = WordCounts._fold
    monkeypatch.setattr(WordCounts, "_fold", lambda self: (held.append(sum(map(len, self._pieces))), fold(self))[1])
    counts.add(f" word{number} " for number in range(6_000))
    assert len(held) > 4 and max(held) < 3_000 and len(counts._words) > 5_000


def test_without_pyarrow_the_library_reads_the_text(monkeypatch: Any) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.setattr(module.WordCounts, "add", lambda *_: pytest.fail("it counted"))
    assert SubwordTokenizer.train(_texts(2), 300).vocab_size == 300

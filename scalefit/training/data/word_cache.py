"""Byte-level BPE several times faster: text is cut into words here, and each word is encoded once.

A tokenizer of GPT-2's kind first cuts text by one pattern, then encodes the pieces one by one. Python's ``re`` cuts as
the library does where each character has a category that no version of Unicode will change; other texts, and those that
contain a special token, go through the library.
"""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

#: Words that are kept; with their ids about 100 MB.
LARGEST = 500_000
#: Latin, Greek, Cyrillic, general punctuation, the byte-order mark: what is assigned there is settled.
_PLACES = (*range(0x530), *range(0x2000, 0x2070), 0xFEFF)
#: Unicode's property White_Space.
_SPACES = (
    "\t\n\v\f\r \x85\xa0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f"
)


def _of(kind: str) -> str:
    return "".join(re.escape(chr(place)) for place in _PLACES if unicodedata.category(chr(place))[0] == kind)


def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """GPT-2's pattern, and one that finds a character it was not written for."""
    letters, numbers, spaces = _of("L"), _of("N"), re.escape(_SPACES)
    words = re.compile(
        rf"'(?:s|t|re|ve|m|ll|d)| ?[{letters}]+| ?[{numbers}]+| ?[^{spaces}{letters}{numbers}]+"
        rf"|[{spaces}]+(?![^{spaces}])|[{spaces}]+"
    )
    settled = "".join(re.escape(chr(place)) for place in _PLACES if unicodedata.category(chr(place)) != "Cn")
    return words, re.compile(f"[^{settled}]")


class _Index(dict[str, int]):
    """Numbers words in the order in which they are met; `new` are those whose ids are still to be found."""

    def __init__(self) -> None:
        super().__init__()
        self.new: list[str] = []

    def __missing__(self, word: str) -> int:
        self[word] = place = len(self)
        self.new.append(word)
        return place


class WordCache:
    """Encodes texts through the words that they are made of.

    Parameters
    ----------
    encode : callable
        Takes a list of texts; returns the ids of each.
    special : sequence of str
        Tokens that are looked for in texts before they are cut.
    """

    def __init__(self, encode: Callable[[list[str]], list[list[int]]], special: Sequence[str]) -> None:
        self._encode, self._special = encode, tuple(special)
        self._words, self._foreign = _patterns()
        self._clear()

    def _clear(self) -> None:
        self._index = _Index()
        self._ids = np.zeros(0, np.int64)
        self._ends = np.zeros(1, np.int64)

    def knows(self, text: str) -> bool:
        """Whether the text is cut here as by the library."""
        return (text.isascii() or self._foreign.search(text) is None) and not any(
            token in text for token in self._special
        )

    def encode(self, text: str) -> npt.NDArray[np.int64]:
        """Return the ids of a text that is known."""
        words = self._words.findall(text)
        if len(self._index) > LARGEST:
            self._clear()
        try:
            places = np.fromiter(map(self._index.__getitem__, words), np.int64, len(words))
            if self._index.new:
                self._learn()
        except BaseException:  # an interrupt too: the words would be known without their ids
            self._clear()
            raise
        starts = self._ends[places]
        sizes = self._ends[places + 1] - starts
        before = np.cumsum(sizes) - sizes
        taken: npt.NDArray[np.int64] = self._ids[np.repeat(starts - before, sizes) + np.arange(int(sizes.sum()))]
        return taken

    def _learn(self) -> None:
        """Find the ids of the new words."""
        new = self._index.new
        known = len(self._index) - len(new)
        n_ids = self._ends[known]
        found = self._encode(new)
        ids = np.fromiter(itertools.chain.from_iterable(found), np.int64)
        self._ids = _put(self._ids, n_ids, ids)
        self._ends = _put(self._ends, known + 1, n_ids + np.cumsum([len(part) for part in found]))
        self._index.new = []


def _put(held: npt.NDArray[np.int64], n_held: int, new: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Put numbers behind the first `n_held`; room for them is made by doubling, so that few calls copy all."""
    if n_held + len(new) > len(held):
        held = np.concatenate((held[:n_held], np.zeros(n_held + len(new), np.int64)))
    held[n_held : n_held + len(new)] = new
    return held


def cache_for(inner: Any) -> WordCache | None:
    """Return a cache for a tokenizer of the ``tokenizers`` library; None where it does not cut as GPT-2's does."""
    spec = json.loads(inner.to_str())
    cut, model = spec["pre_tokenizer"] or {}, spec["model"]
    plain = spec["normalizer"] is None and model["type"] == "BPE" and not model.get("dropout")
    gpt2 = cut.get("type") == "ByteLevel" and not cut["add_prefix_space"] and cut.get("use_regex", True)
    if not (plain and gpt2 and spec.get("truncation") is None and spec.get("padding") is None):
        return None
    fast = getattr(inner, "encode_batch_fast", inner.encode_batch)

    def encode(texts: list[str]) -> list[list[int]]:
        return [found.ids for found in fast(texts, add_special_tokens=False)]

    return WordCache(encode, [token["content"] for token in spec["added_tokens"]])

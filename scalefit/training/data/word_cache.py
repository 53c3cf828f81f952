"""BPE several times faster: text is cut where its tokenizer cuts it too, and each piece is encoded once.

A tokenizer of GPT-2's or Llama 3's kind first cuts text by a pattern, then encodes the words one by one. Wherever two
bytes of certain kinds meet, the pattern is sure to cut, whatever stands around them: there the text is cut here, by
numpy; pyarrow finds the pieces that differ, and the library encodes those that were not met before. So the ids are the
library's own. Texts that contain a special token go through the library whole.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from scalefit.errors import MissingExtraError, require

#: Pieces that are kept, and their text [byte]; with their ids about 100 MB.
LARGEST, LARGEST_TEXT = 500_000, 1 << 25
#: Text that is cut at a time [byte].
WINDOW = 1 << 22

#: Kinds of bytes. A byte of OTHER is never cut beside: control characters, whitespace but for these two, and bytes that
#: may end a space of Unicode or are not the last of their character.
OTHER, LETTER, DIGIT, SIGN, APOSTROPHE, BLANK, NEWLINE, LAST = range(8)
#: Where "ab" is cut for sure if a and b are of these kinds. Of GPT-2: a run of letters, of digits or of signs ends
#: where another begins (but a word may begin with an apostrophe), and space belongs to what follows it.
GPT2 = {
    LETTER: (DIGIT, SIGN, APOSTROPHE, BLANK, NEWLINE),
    DIGIT: (LETTER, SIGN, APOSTROPHE, BLANK, NEWLINE),
    SIGN: (LETTER, DIGIT, BLANK, NEWLINE),
    APOSTROPHE: (BLANK, NEWLINE),
    LAST: (BLANK, NEWLINE),
}
#: Of Llama 3: a sign may begin a word, and new lines may end signs.
LLAMA3 = {
    LETTER: (DIGIT, SIGN, APOSTROPHE, BLANK, NEWLINE),
    DIGIT: (LETTER, SIGN, APOSTROPHE, BLANK, NEWLINE),
    SIGN: (DIGIT, BLANK),
    APOSTROPHE: (BLANK,),
    LAST: (BLANK,),
}
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
Ids = npt.NDArray[Any]  # uint16 or uint32


def _kinds() -> npt.NDArray[np.uint8]:
    kinds = np.full(256, OTHER, np.uint8)
    for byte in range(0x21, 0x7F):
        letter = chr(byte)
        kinds[byte] = LETTER if letter.isalpha() else DIGIT if letter.isdigit() else SIGN
    kinds[[ord("'"), ord(" "), ord("\n")]] = APOSTROPHE, BLANK, NEWLINE
    # the bytes 80 to BF end a character; these of them may end a space: U+0085, A0, 1680, 2000-200A, 2028, 2029, 202F,
    # 205F, 3000
    kinds[0x80:0xC0] = LAST
    kinds[[*range(0x80, 0x8B), 0x9F, 0xA0, 0xA8, 0xA9, 0xAF]] = OTHER
    return kinds


#: By the byte; of ``bytes.translate``, which is three times as fast as an index of numpy.
_KINDS = _kinds().tobytes()


def cut_table(cuts: dict[int, tuple[int, ...]]) -> bytes:
    """Whether two bytes are cut apart, by eight times the kind of the first and the kind of the second."""
    table = np.zeros((32, 8), bool)
    for first, seconds in cuts.items():
        table[first, list(seconds)] = True
    return table.tobytes()


def arrow() -> Any:
    """Return pyarrow."""
    return require("pyarrow", extra="train", purpose="fast tokenizing")


def binaries(data: Any, borders: npt.NDArray[np.int32]) -> Any:
    """Return pyarrow's array of what lies between borders [byte]; nothing is copied."""
    buffers = [None, arrow().py_buffer(borders), arrow().py_buffer(data)]
    return arrow().BinaryArray.from_buffers(arrow().binary(), len(borders) - 1, buffers)


def windows(raw: bytes, ends: npt.NDArray[np.int64], cuts: bytes) -> Iterator[tuple[int, npt.NDArray[np.int32]]]:
    """Yield where each window of a text begins, and the borders of its pieces from there [byte].

    Parameters
    ----------
    raw : bytes
        Texts one after another.
    ends : array of int64
        Where each text ends: it is cut there too.
    cuts : bytes
        Of :func:`cut_table`.
    """
    begin, size = 0, WINDOW
    while begin < len(raw):
        kinds = np.frombuffer(raw[begin : begin + size].translate(_KINDS), np.uint8)
        pairs = kinds[:-1] * np.uint8(8)
        pairs += kinds[1:]
        cut = np.frombuffer(bytearray(pairs.tobytes().translate(cuts)), bool)
        cut[ends[(ends > begin) & (ends < begin + len(kinds))] - begin - 1] = True
        inner = np.flatnonzero(cut) + 1
        last = begin + len(kinds) == len(raw)
        if last or len(inner):  # the last piece of a window may go on in the next
            borders = np.concatenate(([0], inner, [len(kinds)] if last else [])).astype(np.int32)
            yield begin, borders
            begin, size = begin + int(borders[-1]), WINDOW
        else:
            size *= 2


class _Index(dict[bytes, int]):
    """Numbers pieces in the order in which they are met; `new` are those whose ids are still to be found."""

    def __init__(self) -> None:
        super().__init__()
        self.new: list[bytes] = []

    def __missing__(self, piece: bytes) -> int:
        self[piece] = place = len(self)
        self.new.append(piece)
        return place


class WordCache:
    """Encodes texts through the pieces that they are made of.

    Parameters
    ----------
    encode : callable
        Takes a list of texts; returns the ids of each.
    special : sequence of str
        Tokens that are looked for in texts before they are cut.
    cuts : dict
        Where the tokenizer cuts for sure, such as GPT2.
    kind : type
        Of the ids.
    """

    def __init__(
        self, encode: Callable[[list[str]], list[list[int]]], special: Sequence[str], cuts: dict[int, tuple[int, ...]],
        kind: type[np.uint16] | type[np.uint32],
    ) -> None:  # fmt: skip
        arrow()
        self._encode, self._special, self._kind, self._cuts = encode, tuple(special), kind, cut_table(cuts)
        self._mark = os.path.commonprefix(self._special)  # one search instead of one for each of Llama's 256
        self._clear()

    def _clear(self) -> None:
        self._index, self._size = _Index(), 0
        self._ids = np.zeros(0, self._kind)
        self._ends = np.zeros(1, np.int64)

    def knows(self, text: str) -> bool:
        """Whether the text is cut here as by the library."""
        return self._mark not in text or not any(token in text for token in self._special)

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of each text, all of which are known."""
        parts = [text.encode() for text in texts]
        raw = b"".join(parts)
        view = memoryview(raw)
        ends = np.cumsum([len(part) for part in parts])
        found, counts, n_ids = [np.zeros(0, self._kind)], np.zeros(len(ends), np.int64), 0
        for begin, borders in windows(raw, ends, self._cuts):
            taken, before = self._piece_ids(view[begin : begin + int(borders[-1])], borders)
            here = (ends > begin) & (ends <= begin + borders[-1])
            counts[here] = n_ids + before[np.searchsorted(borders, ends[here] - begin)]
            found.append(taken)
            n_ids += len(taken)
        split: list[Ids] = np.split(np.concatenate(found), counts)[:-1]
        return split

    def _piece_ids(self, raw: memoryview, borders: npt.NDArray[np.int32]) -> tuple[Ids, npt.NDArray[np.int64]]:
        """Return the ids of a text whose pieces lie between borders, and how many stand before each border."""
        pieces = binaries(raw, borders).dictionary_encode()
        if len(self._index) > LARGEST or self._size > LARGEST_TEXT:
            self._clear()
        try:
            distinct = pieces.dictionary.to_pylist()
            places = np.fromiter(map(self._index.__getitem__, distinct), np.int64, len(distinct))
            if self._index.new:
                self._learn()
        except BaseException:  # an interrupt too: the pieces would be known without their ids
            self._clear()
            raise
        starts = self._ends[places]
        sizes = self._ends[places + 1] - starts
        before = np.concatenate(([0], np.cumsum(sizes)))
        own = self._ids[np.repeat(starts - before[:-1], sizes) + np.arange(int(before[-1]))]
        return self._taken(own, before, pieces.indices)

    def _taken(self, own: Ids, before: npt.NDArray[np.int64], which: Any) -> tuple[Ids, npt.NDArray[np.int64]]:
        """Return the ids of pieces one after another, from those of the ones that differ; pyarrow moves them."""
        wide = own.itemsize
        _, offsets, ids = binaries(own, (before * wide).astype(np.int32)).take(which).buffers()
        ends = np.frombuffer(offsets, np.int32, len(which) + 1).astype(np.int64) // wide
        return np.frombuffer(ids, self._kind, int(ends[-1])), ends

    def _learn(self) -> None:
        """Find the ids of the new pieces."""
        new = self._index.new
        known = len(self._index) - len(new)
        n_ids = self._ends[known]
        found = self._encode([piece.decode() for piece in new])
        ids = np.fromiter(itertools.chain.from_iterable(found), self._kind)
        self._ids = _put(self._ids, n_ids, ids)
        self._ends = _put(self._ends, known + 1, n_ids + np.cumsum([len(part) for part in found]))
        self._size += sum(map(len, new))
        self._index.new = []


def _put(held: npt.NDArray[Any], n_held: int, new: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Put numbers behind the first `n_held`; room for them is made by doubling, so that few calls copy all."""
    if n_held + len(new) > len(held):
        held = np.concatenate((held[:n_held], np.zeros(n_held + len(new), held.dtype)))
    held[n_held : n_held + len(new)] = new
    return held


def cache_for(inner: Any, kind: type[np.uint16] | type[np.uint32]) -> WordCache | None:
    """Return a cache for a tokenizer of the ``tokenizers`` library; None where it does not cut as those known here."""
    spec = json.loads(inner.to_str())
    cuts, model = _cuts_of(spec["pre_tokenizer"] or {}), spec["model"]
    plain = spec["normalizer"] is None and model["type"] == "BPE" and not model.get("dropout")
    if not (plain and cuts and spec.get("truncation") is None and spec.get("padding") is None):
        return None
    fast = getattr(inner, "encode_batch_fast", inner.encode_batch)

    def encode(texts: list[str]) -> list[list[int]]:
        return [found.ids for found in fast(texts, add_special_tokens=False)]

    try:
        return WordCache(encode, [token["content"] for token in spec["added_tokens"]], cuts, kind)
    except MissingExtraError:
        return None


def _cuts_of(pre_tokenizer: dict[str, Any]) -> dict[int, tuple[int, ...]] | None:
    """Return where a pre-tokenizer cuts for sure; None where that is not known."""
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    *splits, last = steps
    if last.get("type") != "ByteLevel" or last["add_prefix_space"]:
        return None
    if last.get("use_regex", True):
        return None if splits else GPT2
    if len(splits) != 1 or splits[0].get("type") != "Split":
        return None
    split = splits[0]
    isolated = split["behavior"] == "Isolated" and not split["invert"]
    return LLAMA3 if isolated and split["pattern"].get("Regex") == LLAMA3_PATTERN else None

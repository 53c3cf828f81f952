"""Tokenizers that need no download: bytes, words, byte-level BPE trained here, a local transformers folder.

Each one has `vocab_size`, `eos` (the document separator), `encode(text) -> ids`, and `spec`, the
JSON-able value it can be rebuilt from.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from scalefit.errors import ArgumentError, DataError, MissingExtraError, arg, require
from scalefit.training.data.word_cache import cache_for
from scalefit.training.data.word_counts import WordCounts

#: Characters that take the library long, and seconds within which an interrupt is heard meanwhile.
_LONG, _HEARD_WITHIN = 1_000_000, 0.2

Ids = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


class Tokenizer(Protocol):
    """What a corpus needs from a tokenizer."""

    vocab_size: int
    eos: int
    spec: dict[str, Any]

    def encode(self, text: str) -> Ids:
        """Return the ids of one document, without the separator."""

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of several documents."""


class ByteTokenizer:
    """UTF-8 bytes, and 256 as the separator.

    Examples
    --------
    >>> ByteTokenizer().encode("Hi").tolist()
    [72, 105]
    """

    vocab_size, eos = 257, 256

    def __init__(self) -> None:
        self.spec: dict[str, Any] = {"kind": "byte"}

    def encode(self, text: str) -> Ids:
        """Return the bytes of `text`."""
        return np.frombuffer(text.encode(), np.uint8).astype(np.uint16)

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """Return the bytes of each text."""
        return [self.encode(text) for text in texts]


class WordTokenizer:
    """Words between blanks; 0 is the separator. A word outside the vocabulary is an error, not an <unk>."""

    eos = 0

    def __init__(self, words: Sequence[str]) -> None:
        self._ids = {word: index for index, word in enumerate(words, start=1)}
        self.vocab_size = len(words) + 1
        self._type: Any = np.uint16 if self.vocab_size <= 1 << 16 else np.uint32
        self.spec: dict[str, Any] = {"kind": "words", "words": list(words)}

    @classmethod
    def train(cls, documents: Iterable[str]) -> WordTokenizer:
        """Collect the words of `documents`, in alphabetical order."""
        return cls(sorted({word for document in documents for word in document.split()}))

    def encode(self, text: str) -> Ids:
        """Return one id per word."""
        try:
            return np.array([self._ids[word] for word in text.split()], self._type)
        except KeyError as error:
            raise DataError(
                f"The word {error.args[0]!r} is not in the vocabulary of {self.vocab_size - 1} words",
                "the corpus was not built",
                f"Use {arg('tokenizer', 'byte')} or 'bpe:V' for open vocabularies",
            ) from None

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """Return one id per word of each text."""
        return [self.encode(text) for text in texts]


class SubwordTokenizer:
    """Byte-level BPE or any other tokenizer that the ``tokenizers`` library can hold."""

    def __init__(self, spec: dict[str, Any]) -> None:
        library = require("tokenizers", extra="train", purpose="BPE tokenizers")
        self._inner = library.Tokenizer.from_str(spec["json"])
        self.spec = spec
        self.eos = int(spec["eos"])
        self.vocab_size = int(self._inner.get_vocab_size())
        self._kind: Any = np.uint16 if self.vocab_size <= 1 << 16 else np.uint32
        self._cache = cache_for(self._inner, self._kind)

    @classmethod
    def train(cls, documents: Iterable[str], vocab_size: int) -> SubwordTokenizer:
        """Train byte-level BPE on `documents`; the result does not depend on their order."""
        library = require("tokenizers", extra="train", purpose="BPE tokenizers")
        from tokenizers import decoders, models, pre_tokenizers, trainers

        if vocab_size < 257:
            raise ArgumentError(
                f"bpe:{vocab_size} is too small: 256 bytes and the separator already need 257",
                "nothing was built",
                "Use bpe:257 or more",
            )
        inner = library.Tokenizer(models.BPE())
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size, special_tokens=["<|endoftext|>"], show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )  # fmt: skip
        cuts = pre_tokenizers.ByteLevel(add_prefix_space=False)
        try:
            words = WordCounts(cuts)
        except MissingExtraError:  # then the library cuts all text itself
            inner.pre_tokenizer = cuts
            _heard(lambda: inner.train_from_iterator(documents, trainer))
        else:
            words.add(documents)
            inner.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(" ")
            _heard(lambda: inner.train_from_iterator(words.lines(), trainer))
            inner.pre_tokenizer = cuts
        return cls({"kind": "subword", "json": inner.to_str(), "eos": 0})

    @classmethod
    def from_folder(cls, path: str) -> SubwordTokenizer:
        """Read a local transformers tokenizer; nothing is downloaded."""
        transformers = require("transformers", extra="train", purpose="tokenizers of transformers models")
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
            text = tokenizer.backend_tokenizer.to_str()
        except Exception as error:
            raise DataError(
                f"No usable fast tokenizer in {path!r}: {error}",
                "nothing was built",
                "Give a local folder with a tokenizer.json",
            ) from error
        eos = tokenizer.eos_token_id
        if eos is None:
            raise DataError(
                f"The tokenizer in {path!r} has no end-of-text token to separate documents with",
                "nothing was built",
                "Set eos_token in its tokenizer_config.json",
            )
        return cls({"kind": "subword", "json": text, "eos": int(eos)})

    def encode(self, text: str) -> Ids:
        """Return the subword ids of `text`."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """Return the subword ids of each text: through its pieces where they are cut here, else through the library."""
        known = [self._cache is not None and self._cache.knows(text) for text in texts]
        slow = iter(self._encode([text for text, cut in zip(texts, known, strict=True) if not cut]))
        here = [text for text, cut in zip(texts, known, strict=True) if cut]
        fast = iter(self._cache.encode(here) if self._cache is not None else [])
        return [next(fast if cut else slow) for cut in known]

    def _encode(self, texts: Sequence[str]) -> list[Ids]:
        if not texts:
            return []
        # without offsets where the library can: they are most of the work and nobody reads them
        encode = getattr(self._inner, "encode_batch_fast", self._inner.encode_batch)
        found = _heard(lambda: encode(list(texts), add_special_tokens=False), sum(map(len, texts)) > _LONG)
        return [np.asarray(one.ids, self._kind) for one in found]


def _heard(work: Callable[[], Any], long: bool = True) -> Any:
    """What `work` returns: the library hears no interrupt until it is done, so long work is waited for.

    The thread is left to itself where an interrupt comes: nothing waits for it, and it writes no file.
    """
    if not long:
        return work()
    done: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((work(), None))
        except BaseException as error:
            done.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    while True:
        try:
            found, error = done.get(timeout=_HEARD_WITHIN)
        except queue.Empty:
            continue
        if error is not None:
            raise error
        return found


def train_tokenizer(name: str, documents: Iterable[str]) -> Tokenizer:
    """Make the tokenizer that a config names: ``byte``, ``words``, ``bpe:V`` or ``hf:/path``."""
    kind, _, argument = name.partition(":")
    if name == "byte":
        return ByteTokenizer()
    if name == "words":
        return WordTokenizer.train(documents)
    if kind == "bpe" and argument.isdigit():
        return SubwordTokenizer.train(documents, int(argument))
    if kind == "hf" and argument:
        return SubwordTokenizer.from_folder(argument)
    raise ArgumentError(f"Unknown tokenizer {name!r}", "nothing was built", "Use byte, words, bpe:512 or hf:/path")

"""Read a corpus into two sets of token pieces, one for training and one held out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scalefit._arguments import check_count, one_of
from scalefit._typing import AnyArray
from scalefit.corpora.divide import LEAST_TOKENS, PIECE, SHARE, divide, drawn, up_to
from scalefit.errors import ArgumentError, DataError, Note, arg
from scalefit.training.config import CorpusConfig
from scalefit.training.data.corpus import Corpus, open_corpus
from scalefit.training.data.corpus_build import markov_source
from scalefit.training.data.documents import find_files, read_files, read_stdlib
from scalefit.training.data.tokenizers import train_tokenizer

#: Text that is read of a file or folder at most [characters].
MOST_TEXT = 1 << 26
#: A str with a line break, or as long as this, is text; a shorter one names a file.
_LONG = 1_000


@dataclass(frozen=True, eq=False)
class Sample:
    """Pieces of a corpus, as token ids.

    Attributes
    ----------
    train, heldout : tuple of ndarray
        Contiguous pieces; no text is in both.
    documents, clusters : ndarray of int
        Document of each training piece; what is independent among the held-out pieces.
    vocab_size : int
        Token ids in use.
    bytes_per_token : float or None
        Of the held-out pieces, where the text is known.
    tokenizer : str
        Its name.
    split : {"document", "chunk", "given"}
        What was held out: whole documents, chunks of documents that are learned from too, or the corpus's own part.
    source : str
        What was read.
    entropy : float or None
        Exact entropy of the source [nat/token], where it is known.
    notes : tuple of Note
        What was left out.
    """

    train: tuple[AnyArray, ...]
    heldout: tuple[AnyArray, ...]
    documents: AnyArray
    clusters: AnyArray
    vocab_size: int
    bytes_per_token: float | None
    tokenizer: str
    split: str
    source: str
    entropy: float | None = None
    notes: tuple[Note, ...] = ()

    @property
    def n_train(self) -> int:
        """Training tokens."""
        return sum(len(piece) for piece in self.train)

    @property
    def n_heldout(self) -> int:
        """Held-out tokens."""
        return sum(len(piece) for piece in self.heldout)

    def describe(self) -> str:
        """One line: how much of what was read, by which tokenizer, and what was held out."""
        held = {"document": "whole documents", "chunk": "chunks of the same documents", "given": "its own part"}
        return (
            f"{self.source}: {self.n_train:,} training and {self.n_heldout:,} held-out tokens ({held[self.split]}), "
            f"tokenizer {self.tokenizer}, vocabulary {self.vocab_size:,}"
        )


def read_corpus(
    corpus: Any, *, tokenizer: str = "byte", max_tokens: int = 1_000_000, heldout: str | None = None, seed: int = 0
) -> Sample:
    r"""Read a corpus into a sample.

    Parameters
    ----------
    corpus : path, str, list of str, ndarray of int, list of ndarray, Corpus or CorpusConfig
        A file, folder or glob of text, or .npy of ids (``"stdlib"``: Python's own library); a text; documents; token
        ids (each row of a 2-D array, or each array of a list, is a document); or a corpus of the training harness,
        with its own held-out part.
    tokenizer : str
        For text: ``byte``, ``bpe:V`` (trained on the training pieces), ``words``, ``hf:/local/path``.
    max_tokens : int
        Training tokens [tokens]; of a larger corpus pieces are drawn at random.
    heldout : {"document", "chunk"}, optional
        What is held out; whole documents where there are 20 or more.
    seed : int
        Seed of what is drawn and held out.

    Returns
    -------
    Sample

    Raises
    ------
    ArgumentError
        No corpus, or an option that is not allowed.
    DataError
        Files that cannot be read, or too little in them.

    Examples
    --------
    >>> sample = read_corpus("to be or not to be, that is the question\n" * 300)
    >>> sample.vocab_size, sample.split
    (257, 'chunk')
    """
    max_tokens = check_count("max_tokens", max_tokens, least=LEAST_TOKENS)
    seed = check_count("seed", seed, least=0)
    if not one_of(heldout, (None, "document", "chunk")):
        raise ArgumentError(
            f"{arg('heldout', heldout)} is not known", "nothing was read", "Use 'document', 'chunk', or leave it out"
        )
    rng = np.random.default_rng([seed, 31])
    if isinstance(corpus, CorpusConfig):
        with tempfile.TemporaryDirectory() as folder:
            return _from_harness(open_corpus(corpus, folder), max_tokens, rng)
    if isinstance(corpus, Corpus):
        return _from_harness(corpus, max_tokens, rng)
    documents, source, notes = _documents(corpus)
    if not isinstance(tokenizer, str):
        raise ArgumentError(f"{arg('tokenizer', tokenizer)} is not the name of one", "nothing was read", "Use 'byte'")
    if documents and isinstance(documents[0], str):
        return _from_text(documents, source, notes, tokenizer, max_tokens, heldout, rng)
    return _from_ids(documents, source, notes, max_tokens, heldout, rng)


def _documents(corpus: Any) -> tuple[list[Any], str, list[Note]]:
    """Documents as text or ids, what they are called, and what was left out of them."""
    notes: list[Note] = []
    if isinstance(corpus, str | Path) and str(corpus).endswith(".npy"):
        return [_ids(row) for row in np.atleast_2d(_loaded(str(corpus)))], _label(corpus), notes
    if isinstance(corpus, Path) or (isinstance(corpus, str) and "\n" not in corpus and len(corpus) < _LONG):
        return _read(str(corpus), notes), _label(corpus), notes
    if isinstance(corpus, str):
        return [corpus], "a text", notes
    if isinstance(corpus, np.ndarray):
        return [_ids(row) for row in np.atleast_2d(corpus)], "token ids", notes
    if not isinstance(corpus, Iterable):
        raise ArgumentError(
            f"{corpus!r:.80} is not a corpus",
            "nothing was read",
            "Give a path, a text, a list of texts, an array of token ids, or a corpus of scalefit.training",
        )
    parts = list(corpus)
    if parts and all(isinstance(part, str) for part in parts):
        kept = list(dict.fromkeys(part for part in parts if part.strip()))
        _note_dropped(len(parts) - len(kept), notes)
        return kept, f"{len(parts):,} documents", notes
    if parts and all(isinstance(part, int | np.integer) for part in parts):
        return [_ids(np.asarray(parts))], "token ids", notes
    return [_ids(np.asarray(part)) for part in parts], f"{len(parts):,} arrays of token ids", notes


def _label(path: str | Path) -> str:
    """The last part of a path: where a file lies is not part of a result."""
    return Path(path).name or str(path)


def _loaded(path: str) -> AnyArray:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an array ({error})", "nothing was computed", "Give .npy") from error


def _note_dropped(count: int, notes: list[Note]) -> None:
    if count:
        text = f"{count:,} documents were empty or there twice, and were left out: held-out text must not be learned."
        notes.append(Note("repeated_documents", "info", text, {"n": count}))


def _read(pattern: str, notes: list[Note]) -> list[str]:
    """Documents of files, up to a bound; a lone file of text is one document."""
    found = [] if pattern == "stdlib" else find_files(pattern)
    alone = len(found) == 1 and ".tar" not in found[0].suffixes and found[0].suffix not in (".jsonl", ".parquet")
    texts: Iterator[str]
    if alone:
        with found[0].open("rb") as stream:
            texts = iter([stream.read(4 * MOST_TEXT + 4).decode("utf-8", errors="replace")])
    else:
        texts = read_stdlib() if pattern == "stdlib" else read_files(pattern, "text")
    kept: dict[str, None] = {}
    total = read = 0
    for text in texts:
        read += 1
        if total + len(text) > MOST_TEXT:
            text = text[: MOST_TEXT - total]
            remark = f"{pattern} holds more than {MOST_TEXT:,} characters; only the first were read. Give a part of it."
            notes.append(Note("cut", "info", remark, {"characters": MOST_TEXT}))
        if text.strip():
            kept[text] = None
        total += len(text)
        if total >= MOST_TEXT:
            break
    _note_dropped(read - len(kept), notes)
    return list(kept)


def _ids(values: AnyArray) -> AnyArray:
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer) or (values.size and int(values.min()) < 0):
        raise ArgumentError(
            f"Token ids must be whole numbers from 0 in a row; these are {values.dtype} of shape {values.shape}",
            "nothing was computed",
            "Give an array of integers, or several in a list",
        )
    if values.size and int(values.max()) >= 1 << 31:
        raise ArgumentError(f"A token id is {int(values.max())}", "nothing was computed", "Give ids below 2**31")
    return values.astype(np.int64)


def _from_text(
    documents: list[Any],
    source: str,
    notes: list[Note],
    tokenizer: str,
    max_tokens: int,
    heldout: str | None,
    rng: np.random.Generator,
) -> Sample:
    if tokenizer == "words":  # a closed vocabulary: of everything, and cut between words
        coder = train_tokenizer(tokenizer, documents)
        parts = divide([document.split() for document in documents], max_tokens, heldout, rng)
        train, held = ([(d, " ".join(piece), last) for d, piece, last in part] for part in parts[:2])
        split = parts[2]
    else:  # in characters, of which a token may hold several; cut again once they are tokens
        train, held, split = divide(documents, max_tokens * (1 if tokenizer == "byte" else 4), heldout, rng)
        coder = train_tokenizer(tokenizer, [piece for _, piece, _ in train])

    def encoded(pieces: list[Any]) -> list[AnyArray]:
        ids = coder.encode_batch([piece for _, piece, _ in pieces])
        closed = [np.append(i, coder.eos) if last else i for i, (_, _, last) in zip(ids, pieces, strict=True)]
        return [i.astype(np.int64) for i in closed]

    kept, owners = drawn(encoded(train), [d for d, _, _ in train], max_tokens, rng, notes)
    tokens = encoded(held)
    scored, n_bytes = sum(map(len, tokens)), sum(len(piece.encode()) for _, piece, _ in held)
    return _sample(
        kept,
        owners,
        tokens,
        [d if split == "document" else i for i, (d, _, _) in enumerate(held)],
        vocab_size=coder.vocab_size,
        bytes_per_token=n_bytes / max(scored, 1),
        tokenizer=tokenizer,
        split=split,
        source=source,
        notes=tuple(notes),
    )


def _from_ids(
    documents: list[Any],
    source: str,
    notes: list[Note],
    max_tokens: int,
    heldout: str | None,
    rng: np.random.Generator,
) -> Sample:
    train, held, split = divide(documents, max_tokens, heldout, rng)
    kept, owners = drawn([piece for _, piece, _ in train], [d for d, _, _ in train], max_tokens, rng, notes)
    return _sample(
        kept,
        owners,
        [piece for _, piece, _ in held],
        [d if split == "document" else i for i, (d, _, _) in enumerate(held)],
        vocab_size=1 + max((int(d.max()) for d in documents if len(d)), default=0),
        bytes_per_token=None,
        tokenizer="none (token ids)",
        split=split,
        source=source,
        notes=tuple(notes),
    )


def _from_harness(corpus: Corpus, max_tokens: int, rng: np.random.Generator) -> Sample:
    """A sample of an opened corpus: its own training part and its own held-out part."""
    if corpus.packing == "fact":
        raise ArgumentError(
            "A corpus of facts scores values alone, and holds every fact once in its held-out part",
            "nothing was computed",
            "Ask the corpus itself: corpus.entropy(2) is exact",
        )
    meta, notes = corpus.meta, list[Note]()
    parts: list[tuple[list[AnyArray], list[int]]] = []
    for tokens, most in ((corpus.train, max_tokens), (corpus.val, max(LEAST_TOKENS, round(max_tokens * SHARE)))):
        cuts = np.flatnonzero(tokens == meta["eos"]) + 1 if meta["eos"] is not None else np.empty(0, np.int64)
        if meta["chain"]:
            cuts = np.arange(meta["chain"], len(tokens), meta["chain"])
        bounds = np.unique(np.concatenate([[0], cuts, [len(tokens)]]))
        spans = [(a, b) for a, b in zip(bounds[:-1], bounds[1:], strict=True) if b - a > 1]
        pieces = [(i, slice(s, min(s + PIECE, b))) for i, (a, b) in enumerate(spans) for s in range(a, b, PIECE)]
        total = sum(s.stop - s.start for _, s in pieces)
        if total > most:
            pieces = [pieces[i] for i in rng.permutation(len(pieces))]
            text = (
                f"Of {total:,} tokens {most:,} were drawn in pieces of documents. Raise {arg('max_tokens')} for more."
            )
            notes += [Note("sampled", "info", text, {"tokens": total})] * (not parts)
        kept = up_to([np.asarray(tokens[s], np.int64) for _, s in pieces], most)
        parts.append((kept, [d for d, _ in pieces[: len(kept)]]))
    n_bytes = meta.get("val_bytes")
    return _sample(
        parts[0][0],
        parts[0][1],
        parts[1][0],
        parts[1][1] if len(set(parts[1][1])) > 1 else list(range(len(parts[1][0]))),
        vocab_size=corpus.vocab_size,
        bytes_per_token=n_bytes / meta["val_tokens"] if n_bytes else None,
        tokenizer=corpus.config.tokenizer if meta["tokenizer"] else "none (token ids)",
        split="given",
        source=f"harness corpus {corpus.config.source}",
        entropy=_exact(corpus),
        notes=tuple(notes),
    )


def _exact(corpus: Corpus) -> float | None:
    """Entropy rate of a source that knows its own [nat/token]."""
    if corpus.config.source == "markov":
        return float(markov_source(corpus.config).entropy_rate)
    return corpus.entropy(1)


def _sample(
    train: list[AnyArray], documents: list[int], heldout: list[AnyArray], clusters: list[int], **facts: Any
) -> Sample:
    pairs = [(piece, d) for piece, d in zip(train, documents, strict=False) if len(piece)]
    held = [(piece, c) for piece, c in zip(heldout, clusters, strict=True) if len(piece)]
    n_train, n_held = sum(len(piece) for piece, _ in pairs), sum(len(piece) for piece, _ in held)
    if n_train < LEAST_TOKENS or n_held < LEAST_TOKENS // 20 or len({c for _, c in held}) < 2:
        raise DataError(
            f"{facts['source']} holds {n_train:,} tokens to learn from and {n_held:,} held out in "
            f"{len({c for _, c in held})} parts, too few to say anything: {LEAST_TOKENS:,} are needed",
            "nothing was computed",
            "Give more text",
        )
    return Sample(
        tuple(piece for piece, _ in pairs),
        tuple(piece for piece, _ in held),
        np.array([d for _, d in pairs]),
        np.unique([c for _, c in held], return_inverse=True)[1],
        **facts,
    )

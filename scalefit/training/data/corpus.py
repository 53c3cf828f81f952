"""Corpora on disk: uint16 tokens, split by document, named by their sha256; built once, then only read.

A folder holds ``train.bin``, ``val.bin`` and ``corpus.json``; it appears in one rename, so it is whole or
absent.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scalefit.errors import ArgumentError, DataError
from scalefit.training.config import CorpusConfig
from scalefit.training.data import documents
from scalefit.training.data.grammar import line_entropy, sample_lines
from scalefit.training.data.markov import MarkovSource
from scalefit.training.data.tokenizers import Ids, WordTokenizer, train_tokenizer
from scalefit.training.store import store_errors

#: Raised when the same CorpusConfig would no longer give the same tokens.
FORMAT = 1
#: A Markov chain restarts after so many tokens; windows of any power of two up to 8,192 tile it without
#: crossing.
CHAIN = 8_193
LARGEST_VOCABULARY = 1 << 16
IGNORE = -100


@dataclass(frozen=True)
class Corpus:
    """An opened corpus. `train` and `val` are read-only memory maps of uint16.

    `sha` names the tokens and the tokenizer together; runs of different `sha` are never pooled.
    """

    config: CorpusConfig
    train: npt.NDArray[np.uint16]
    val: npt.NDArray[np.uint16]
    meta: dict[str, Any]

    @property
    def sha(self) -> str:
        """First sixteen hex digits of the corpus's sha256."""
        return str(self.meta["sha256"][:16])

    @property
    def vocab_size(self) -> int:
        """Number of token ids in use."""
        return int(self.meta["vocab_size"])

    def starts(self, split: str, length: int) -> npt.NDArray[np.int64]:
        """Return where each row of `length` targets begins; no token is the target of two rows."""
        return _starts(self, split, length)

    def rows(self, split: str, length: int, picked: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
        """Return inputs and targets, both (len(picked), length); padding has target -100."""
        tokens = self.train if split == "train" else self.val
        starts = self.starts(split, length)
        begin = starts[picked]
        if self.config.packing == "stream":
            window = np.asarray(tokens[begin[:, None] + np.arange(length + 1)], np.int64)
            return window[:, :-1], window[:, 1:].copy()
        ends = np.append(starts[1:], len(tokens) - 1)[picked]  # of a line: the separator that closes it
        place = begin[:, None] + np.arange(length + 1)
        window = np.asarray(tokens[np.minimum(place, len(tokens) - 1)], np.int64)
        scored = place[:, 1:] <= ends[:, None]
        return np.where(place <= ends[:, None], window, 0)[:, :-1], np.where(scored, window[:, 1:], IGNORE)

    def row_length(self, T_max: int) -> int:
        """Positions in a row: `T_max` for a stream; for lines no more than the longest one needs."""
        if self.config.packing == "stream":
            return T_max
        longest = 0
        for split in ("train", "val"):
            begin = self.starts(split, T_max)
            last = len(self.train if split == "train" else self.val) - 1
            longest = max(longest, int(np.diff(np.append(begin, last)).max()))
        return longest

    def tokens_per_row(self, length: int) -> float:
        """Mean number of scored tokens in a training row [token]."""
        if self.config.packing == "stream":
            return float(length)
        return (len(self.train) - 1) / len(self.starts("train", length))

    def unique_tokens(self, length: int) -> int:
        """Scored tokens of one epoch [token]."""
        return round(len(self.starts("train", length)) * self.tokens_per_row(length))

    def entropy(self, length: int) -> float | None:
        """Exact entropy of the source [nat/token] over rows of `length`, where it is known."""
        if self.config.source == "question_formation" and self.config.packing == "line":
            nats, words = line_entropy(self.config.mode)
            return nats / (words + 1)  # the end token is scored and costs nothing
        if self.config.source == "markov":
            return _markov(self.config).window_entropy(length)
        return None


@functools.lru_cache(maxsize=64)
def _cached_starts(path: str, sha: str, split: str, length: int, packing: str, chain: int) -> npt.NDArray[np.int64]:
    tokens = np.memmap(Path(path) / f"{split}.bin", np.uint16, "r")
    if packing == "line":
        separators = np.flatnonzero(tokens == json.loads((Path(path) / "corpus.json").read_text())["eos"])
        longest = int(np.diff(separators).max(initial=0))
        if longest > length:
            raise ArgumentError(
                f"The longest line needs {longest} positions and T_max is {length}; nothing was run. Raise T_max."
            )
        return separators[:-1].astype(np.int64)
    if chain:
        inside = np.arange(0, chain - length, length)
        return (np.arange(0, len(tokens), chain)[:, None] + inside).reshape(-1).astype(np.int64)
    return np.arange(0, len(tokens) - length, length, dtype=np.int64)


def _starts(corpus: Corpus, split: str, length: int) -> npt.NDArray[np.int64]:
    meta = corpus.meta
    starts = _cached_starts(meta["path"], corpus.sha, split, length, corpus.config.packing, meta["chain"])
    if len(starts) == 0:
        raise ArgumentError(
            f"The {split} split has too few tokens for one row of T_max = {length}; nothing was run. Use a larger "
            "corpus, a larger val_fraction or a smaller T_max."
        )
    return starts


def open_corpus(config: CorpusConfig, root: str | Path) -> Corpus:
    """Open the corpus that `config` describes, building it first where `root` does not hold it yet.

    Raises
    ------
    DataError
        The files on disk are not the ones that were written (sizes or sha256 differ).
    """
    text = json.dumps([FORMAT, config.to_dict(), _origin(config)], sort_keys=True)
    folder = Path(root) / hashlib.sha256(text.encode()).hexdigest()[:12]
    if not (folder / "corpus.json").exists():
        _build(config, folder)
    meta = _verified(str(folder), (folder / "corpus.json").stat().st_mtime_ns)
    train, val = (np.memmap(folder / f"{split}.bin", np.uint16, "r") for split in ("train", "val"))
    return Corpus(config, train, val, {**meta, "path": str(folder)})


def _origin(config: CorpusConfig) -> str:
    """What a source depends on beside its config."""
    if config.source == "stdlib":
        return f"python {sys.version.split()[0]} {documents.stdlib_root()}"
    path = Path(str(config.path))
    if config.source in ("files", "ids") and path.is_file():
        return _stamp(path)
    if config.source == "files":  # a folder or glob: whose files may come, go and change
        return " ".join(f"{file} {_stamp(file)}" for file in documents.find_files(str(config.path)))
    return ""


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


@functools.lru_cache(maxsize=64)
def _verified(folder: str, _: int) -> dict[str, Any]:
    path = Path(folder)
    try:
        meta: dict[str, Any] = json.loads((path / "corpus.json").read_text())
        found = {split: _sha_of_file(path / f"{split}.bin") for split in ("train", "val")}
        same = all(found[split] == meta[f"{split}_sha256"] for split in found)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"The corpus in {path} cannot be read ({error}); nothing was run. Delete the folder to rebuild it."
        ) from error
    if not same:
        raise DataError(
            f"The tokens in {path} are not the ones that were written: their sha256 differs. Nothing was run. Delete "
            "the folder to rebuild it."
        )
    return meta


def _sha_of_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _markov(config: CorpusConfig) -> MarkovSource:
    return _cached_markov(config.order, config.n_states, config.branching, config.seed)


_cached_markov = functools.lru_cache(maxsize=4)(MarkovSource)


def _build(config: CorpusConfig, folder: Path) -> None:
    with store_errors(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".building-"))
        try:
            meta = _write(config, temporary)
            for split in ("train", "val"):
                meta[f"{split}_sha256"] = _sha_of_file(temporary / f"{split}.bin")
            identity = [meta["train_sha256"], meta["val_sha256"], meta["tokenizer"]]
            meta["sha256"] = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
            (temporary / "corpus.json").write_text(json.dumps(meta, indent=1))
            try:
                os.rename(temporary, folder)
            except OSError:
                if not (folder / "corpus.json").exists():  # otherwise another worker was quicker, with the same tokens
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _write(config: CorpusConfig, folder: Path) -> dict[str, Any]:
    """Write the two token files and return what ``corpus.json`` says about them."""
    if config.source == "markov":
        return _write_markov(config, folder)
    if config.source == "ids":
        return _write_ids(config, folder)
    split = {"train": [], "val": []}  # type: dict[str, list[str]]
    seen: set[bytes] = set()
    for text in _texts(config):
        digest = hashlib.sha256(text.encode()).digest()
        repeated = digest in seen and config.source != "question_formation"
        if not repeated:
            seen.add(digest)
            # by the document's hash, so that no text is in both splits, whatever else is in the corpus
            split["val" if _uniform(digest, 0) < config.val_fraction else "train"].append(text)
    split["train"] = [t for t in split["train"] if _uniform(hashlib.sha256(t.encode()).digest(), 8) < config.fraction]
    if not split["train"] or not split["val"]:
        raise DataError(
            f"The split left {len(split['train'])} training and {len(split['val'])} held-out documents; nothing was "
            "built. Give more documents (a lone file's are its paragraphs), or change val_fraction or fraction."
        )
    if config.tokenizer == "words":  # a closed vocabulary: the held-out words belong to it
        tokenizer: Any = WordTokenizer.train(text for texts in split.values() for text in texts)
    else:
        tokenizer = train_tokenizer(config.tokenizer, split["train"])
    if tokenizer.vocab_size > LARGEST_VOCABULARY:
        raise ArgumentError(
            f"{config.tokenizer} has {tokenizer.vocab_size:,} tokens here, and stores hold ids up to "
            f"{LARGEST_VOCABULARY - 1:,}; nothing was built. Use a smaller vocabulary, such as bpe:32768."
        )
    meta: dict[str, Any] = {
        "tokenizer": tokenizer.spec, "vocab_size": tokenizer.vocab_size, "eos": tokenizer.eos, "chain": 0
    }  # fmt: skip
    for name, texts in split.items():
        limit = config.n_tokens if name == "train" else 0
        count, kept = _write_tokens(folder / f"{name}.bin", map(tokenizer.encode, texts), tokenizer.eos, limit)
        meta |= {f"{name}_tokens": count, f"{name}_documents": kept}
        meta[f"{name}_bytes"] = sum(len(text.encode()) for text in texts[:kept])
    return meta


def _texts(config: CorpusConfig) -> Iterator[str]:
    if config.source == "stdlib":
        return documents.read_stdlib()
    if config.source == "question_formation":
        return sample_lines(config.n_lines, config.seed, config.mode)
    return documents.read_files(str(config.path), config.text_field, lines=config.packing == "line")


def _uniform(digest: bytes, offset: int) -> float:
    """A number in [0, 1) from eight bytes of a hash."""
    return int.from_bytes(digest[offset : offset + 8], "big") / 2.0**64


def _write_tokens(path: Path, rows: Iterable[Ids], eos: int, limit: int) -> tuple[int, int]:
    """Write separator, document, separator, ... up to `limit` (0: all); return the number of tokens and documents."""
    separator = np.array([eos], np.uint16)
    count, documents = 1, 0
    with path.open("wb") as out:
        out.write(separator.data)  # not numpy's tofile, whose errors do not say that a disk is full
        for ids in rows:
            out.write(np.append(ids, separator).data)
            count += len(ids) + 1
            documents += 1
            if limit and count >= limit:
                break
    return count, documents


def _write_markov(config: CorpusConfig, folder: Path) -> dict[str, Any]:
    source = _markov(config)
    chains = max(1, -(-(config.n_tokens or 1_000_000) // CHAIN))
    held_out = max(8, round(chains * config.val_fraction))
    meta: dict[str, Any] = {"tokenizer": None, "vocab_size": config.n_states, "eos": None, "chain": CHAIN}
    for split, count, stream in (("train", chains, 1), ("val", held_out, 2)):
        rng = np.random.default_rng([config.seed, stream])  # independent chains: no document is in both
        (folder / f"{split}.bin").write_bytes(source.sample(count, CHAIN, rng).data)
        meta |= {f"{split}_tokens": count * CHAIN, f"{split}_documents": count, f"{split}_bytes": None}
    return meta


def _write_ids(config: CorpusConfig, folder: Path) -> dict[str, Any]:
    path = Path(str(config.path))
    try:
        ids = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.fromfile(path, np.uint16)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is not a file of token ids ({error}); nothing was built. Give .npy, or .bin of uint16."
        ) from error
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer) or ids.size < 2 or ids.min() < 0 or ids.max() > 65_535:
        raise DataError(
            f"{path} holds {ids.dtype} of shape {ids.shape}; nothing was built. Give one row of whole numbers from 0 "
            "to 65,535."
        )
    ids = ids.astype(np.uint16)
    cut = len(ids) - max(2, round(len(ids) * config.val_fraction))  # no documents are known: the tail is held out
    if cut < 2:
        raise DataError(
            f"{path} holds {len(ids)} ids, of which {len(ids) - cut} are held out; nothing was built. Give more of "
            "them, or a smaller val_fraction."
        )
    train = ids[: min(cut, config.n_tokens or cut)]
    (folder / "train.bin").write_bytes(train[: max(2, round(len(train) * config.fraction))].data)
    (folder / "val.bin").write_bytes(ids[cut:].data)
    meta: dict[str, Any] = {"tokenizer": None, "vocab_size": int(ids.max()) + 1, "eos": None, "chain": 0}
    for split in ("train", "val"):
        count = (folder / f"{split}.bin").stat().st_size // 2
        meta |= {f"{split}_tokens": count, f"{split}_documents": 1, f"{split}_bytes": None}
    return meta

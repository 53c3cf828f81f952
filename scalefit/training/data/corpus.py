"""Corpora on disk: integer tokens, split by document, named by their sha256; built once, then only read.

A folder holds ``train.bin``, ``val.bin`` and ``corpus.json``; it appears in one rename, so it is whole or
absent.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scalefit.errors import ArgumentError, DataError
from scalefit.training.config import CorpusConfig
from scalefit.training.data import documents, facts
from scalefit.training.data.corpus_build import build, fact_source, markov_source, sha_of_file, token_type
from scalefit.training.data.grammar import line_entropy

#: Raised when the same CorpusConfig would no longer give the same tokens.
FORMAT = 1
IGNORE = -100
Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Corpus:
    """An opened corpus. `train` and `val` are read-only memory maps, of uint16 where the vocabulary fits, else uint32.

    `sha` names the tokens and the tokenizer together; runs of different `sha` are never pooled.
    """

    config: CorpusConfig
    train: Tokens
    val: Tokens
    meta: dict[str, Any]

    @property
    def sha(self) -> str:
        """First sixteen hex digits of the corpus's sha256."""
        return str(self.meta["sha256"][:16])

    @property
    def vocab_size(self) -> int:
        """Number of token ids in use."""
        return int(self.meta["vocab_size"])

    @property
    def packing(self) -> str:
        """How rows are made: ``stream`` or ``line`` as configured, or ``fact``, one row per fact."""
        return "fact" if self.config.source == "facts" else self.config.packing

    def weights(self, split: str) -> npt.NDArray[np.float64] | None:
        """Return the probability of each row where the rows of a split are the whole population, else None."""
        if self.packing != "fact" or split != "val":
            return None
        return fact_source(self.config).facts.probabilities

    def starts(self, split: str, length: int) -> npt.NDArray[np.int64]:
        """Return where each row of `length` targets begins; no token is the target of two rows."""
        return _starts(self, split, length)

    def rows(self, split: str, length: int, picked: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
        """Return inputs and targets, both (len(picked), length); padding has target -100."""
        tokens = self.train if split == "train" else self.val
        starts = self.starts(split, length)
        begin = starts[picked]
        if self.packing != "line":
            window = np.asarray(tokens[begin[:, None] + np.arange(length + 1)], np.int64)
            targets = window[:, 1:].copy()
            if self.packing == "fact":
                targets[:, : -facts.SCORED] = IGNORE
            return window[:, :-1], targets
        ends = np.append(starts[1:], len(tokens) - 1)[picked]  # of a line: the separator that closes it
        place = begin[:, None] + np.arange(length + 1)
        window = np.asarray(tokens[np.minimum(place, len(tokens) - 1)], np.int64)
        scored = place[:, 1:] <= ends[:, None]
        return np.where(place <= ends[:, None], window, 0)[:, :-1], np.where(scored, window[:, 1:], IGNORE)

    def row_length(self, T_max: int) -> int:
        """Positions in a row: `T_max` for a stream; for lines no more than the longest one needs, for facts 2."""
        if self.packing == "stream":
            return T_max
        if self.packing == "fact":
            return min(T_max, facts.INPUTS)
        longest = 0
        for split in ("train", "val"):
            begin = self.starts(split, T_max)
            last = len(self.train if split == "train" else self.val) - 1
            longest = max(longest, int(np.diff(np.append(begin, last)).max()))
        return longest

    def tokens_per_row(self, length: int) -> float:
        """Mean number of scored tokens in a training row [token]."""
        if self.packing == "stream":
            return float(length)
        if self.packing == "fact":
            return float(facts.SCORED)
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
            return markov_source(self.config).window_entropy(length)
        if self.config.source == "facts":
            return 0.0  # of the value, the token that is scored: it follows from the key
        return None


@functools.lru_cache(maxsize=64)
def _cached_starts(path: str, sha: str, split: str, length: int, packing: str, chain: int) -> npt.NDArray[np.int64]:
    meta = json.loads((Path(path) / "corpus.json").read_text())
    tokens = np.memmap(Path(path) / f"{split}.bin", token_type(meta), "r")
    if packing == "fact":
        if length < facts.INPUTS:
            raise ArgumentError(
                f"A fact needs {facts.INPUTS} positions and T_max is {length}", "nothing was run", "Raise it"
            )
        return np.arange(0, len(tokens), facts.ROW, dtype=np.int64)
    if packing == "line":
        separators = np.flatnonzero(tokens == meta["eos"])
        longest = int(np.diff(separators).max(initial=0))
        if longest > length:
            raise ArgumentError(
                f"The longest line needs {longest} positions and T_max is {length}", "nothing was run", "Raise T_max"
            )
        return separators[:-1].astype(np.int64)
    if chain:
        inside = np.arange(0, chain - length, length)
        return (np.arange(0, len(tokens), chain)[:, None] + inside).reshape(-1).astype(np.int64)
    return np.arange(0, len(tokens) - length, length, dtype=np.int64)


def _starts(corpus: Corpus, split: str, length: int) -> npt.NDArray[np.int64]:
    meta = corpus.meta
    starts = _cached_starts(meta["path"], corpus.sha, split, length, corpus.packing, meta["chain"])
    if len(starts) == 0:
        raise ArgumentError(
            f"The {split} split has too few tokens for one row of T_max = {length}",
            "nothing was run",
            "Use a larger corpus, a larger val_fraction or a smaller T_max",
        )
    return starts


def open_corpus(config: CorpusConfig, root: str | Path) -> Corpus:
    """Open the corpus that `config` describes, building it first where `root` does not hold it yet.

    Raises
    ------
    DataError
        The files on disk were changed after they were written (sizes or sha256 differ).
    """
    text = json.dumps([FORMAT, config.to_dict(), _origin(config)], sort_keys=True)
    folder = Path(root) / hashlib.sha256(text.encode()).hexdigest()[:12]
    if not (folder / "corpus.json").exists():
        build(config, folder)
    meta = _verified(str(folder), (folder / "corpus.json").stat().st_mtime_ns)
    train, val = (np.memmap(folder / f"{split}.bin", token_type(meta), "r") for split in ("train", "val"))
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
        found = {split: sha_of_file(path / f"{split}.bin") for split in ("train", "val")}
        same = all(found[split] == meta[f"{split}_sha256"] for split in found)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"The corpus in {path} cannot be read ({error})", "nothing was run", "Delete the folder to rebuild it"
        ) from error
    if not same:
        raise DataError(
            f"The tokens in {path} are not the ones that were written: their sha256 differs",
            "nothing was run",
            "Delete the folder to rebuild it",
        )
    return meta

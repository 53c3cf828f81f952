"""Building a corpus: documents stream from their source through a tokenizer into two files of token ids.

At no time more than some megabytes of text are held. What grows with the corpus is the set of hashes of its documents,
by which repeated ones are left out.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scalefit.errors import DataError
from scalefit.training.config import CorpusConfig
from scalefit.training.data import documents
from scalefit.training.data.facts import FactSource
from scalefit.training.data.grammar import sample_lines
from scalefit.training.data.markov import MarkovSource
from scalefit.training.data.tokenizers import WordTokenizer, train_tokenizer
from scalefit.training.ending import asked_to_end
from scalefit.training.store import store_errors

#: A Markov chain restarts after so many tokens; windows of any power of two up to 8,192 tile it without
#: crossing.
CHAIN = 8_193
#: Vocabularies up to this size are stored as uint16, larger ones as uint32.
SMALL_VOCABULARY = 1 << 16
#: Text that is tokenised at a time [characters], and ids that are copied at a time.
BATCH_TEXT, BATCH_IDS = 1 << 22, 1 << 24


def token_type(meta: dict[str, Any]) -> type[np.uint16] | type[np.uint32]:
    """Return what a corpus's files hold, from its ``corpus.json``."""
    return np.uint32 if int(meta["vocab_size"]) > SMALL_VOCABULARY else np.uint16


def sha_of_file(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def markov_source(config: CorpusConfig) -> MarkovSource:
    """Return the Markov source of a config."""
    return _cached_markov(config.order, config.n_states, config.branching, config.seed)


_cached_markov = functools.lru_cache(maxsize=4)(MarkovSource)


def fact_source(config: CorpusConfig) -> FactSource:
    """Return the facts of a config."""
    return _cached_facts(config.n_keys, config.zipf, config.n_states, config.seed)


_cached_facts = functools.lru_cache(maxsize=8)(FactSource)


def build(config: CorpusConfig, folder: Path) -> None:
    """Write a corpus beside `folder`, and give it that name once it is whole; SIGTERM too leaves nothing half built."""
    with asked_to_end(at_once=True), store_errors(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".building-"))
        try:
            meta = _write(config, temporary)
            for split in ("train", "val"):
                meta[f"{split}_sha256"] = sha_of_file(temporary / f"{split}.bin")
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
    if config.source == "facts":
        return _write_facts(config, folder)
    if config.source == "ids":
        return _write_ids(config, folder)
    if config.tokenizer == "words":  # a closed vocabulary: the held-out words belong to it
        tokenizer: Any = WordTokenizer.train(text for _, text in _documents(config))
    else:
        tokenizer = train_tokenizer(config.tokenizer, (text for split, text in _documents(config) if split == "train"))
    kind = token_type({"vocab_size": tokenizer.vocab_size})
    separator = np.array([tokenizer.eos], kind)
    counts = {split: {"tokens": 1, "documents": 0, "bytes": 0} for split in ("train", "val")}
    limits = {"train": config.n_tokens, "val": 0}
    files = {split: (folder / f"{split}.bin").open("wb") for split in counts}
    try:
        for file in files.values():
            file.write(separator.data)  # not numpy's tofile, whose errors do not say that a disk is full
        for batch in documents.in_batches(_documents(config), BATCH_TEXT, lambda pair: len(pair[1])):
            encoded = tokenizer.encode_batch([text for _, text in batch])
            for (split, text), ids in zip(batch, encoded, strict=True):
                count = counts[split]
                if limits[split] and count["tokens"] >= limits[split]:
                    continue
                files[split].write(np.append(ids, separator).astype(kind, copy=False).data)
                count["tokens"] += len(ids) + 1
                count["documents"] += 1
                count["bytes"] += len(text.encode())
    finally:
        for file in files.values():
            file.close()
    if not counts["train"]["documents"] or not counts["val"]["documents"]:
        raise DataError(
            f"The split left {counts['train']['documents']} training and {counts['val']['documents']} held-out "
            "documents",
            "nothing was built",
            "Give more documents (a lone file's are its paragraphs), or change val_fraction or fraction",
        )
    meta: dict[str, Any] = {
        "tokenizer": tokenizer.spec, "vocab_size": tokenizer.vocab_size, "eos": tokenizer.eos, "chain": 0
    }  # fmt: skip
    return meta | {f"{split}_{name}": value for split, count in counts.items() for name, value in count.items()}


def _documents(config: CorpusConfig) -> Iterator[tuple[str, str]]:
    """Yield (split, text) of each document once, in the order of the source."""
    seen: set[bytes] = set()
    for text in _texts(config):
        digest = hashlib.sha256(text.encode()).digest()
        if config.source != "question_formation":
            if digest[:16] in seen:
                continue
            seen.add(digest[:16])
        # by the document's hash, so that no text is in both splits, whatever else is in the corpus
        if _uniform(digest, 0) < config.val_fraction:
            yield "val", text
        elif _uniform(digest, 8) < config.fraction:
            yield "train", text


def _texts(config: CorpusConfig) -> Iterator[str]:
    if config.source == "stdlib":
        return documents.read_stdlib()
    if config.source == "question_formation":
        return sample_lines(config.n_lines, config.seed, config.mode)
    return documents.read_files(str(config.path), config.text_field, lines=config.packing == "line")


def _uniform(digest: bytes, offset: int) -> float:
    """A number in [0, 1) from eight bytes of a hash."""
    return int.from_bytes(digest[offset : offset + 8], "big") / 2.0**64


def _write_markov(config: CorpusConfig, folder: Path) -> dict[str, Any]:
    source = markov_source(config)
    chains = max(1, -(-(config.n_tokens or 1_000_000) // CHAIN))
    held_out = max(8, round(chains * config.val_fraction))
    meta: dict[str, Any] = {"tokenizer": None, "vocab_size": config.n_states, "eos": None, "chain": CHAIN}
    for split, count, stream in (("train", chains, 1), ("val", held_out, 2)):
        rng = np.random.default_rng([config.seed, stream])  # independent chains: no document is in both
        (folder / f"{split}.bin").write_bytes(source.sample(count, CHAIN, rng).data)
        meta |= {f"{split}_tokens": count * CHAIN, f"{split}_documents": count, f"{split}_bytes": None}
    return meta


def _write_facts(config: CorpusConfig, folder: Path) -> dict[str, Any]:
    """Write the facts that were drawn, and as held-out text every fact once, the most frequent first."""
    source = fact_source(config)
    meta: dict[str, Any] = {"tokenizer": None, "vocab_size": source.vocab_size, "eos": None, "chain": 0}
    drawn = source.draw(config.n_tokens or 1_000_000, np.random.default_rng([config.seed, 3]))
    for split, ranks in (("train", drawn), ("val", np.arange(config.n_keys))):
        (folder / f"{split}.bin").write_bytes(source.rows(ranks).data)
        meta |= {f"{split}_tokens": 3 * len(ranks), f"{split}_documents": len(ranks), f"{split}_bytes": None}
    return meta


def _write_ids(config: CorpusConfig, folder: Path) -> dict[str, Any]:
    path = Path(str(config.path))
    try:
        if path.suffix == ".npy":
            ids: Any = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            ids = np.memmap(path, np.uint16, "r")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is not a file of token ids ({error})", "nothing was built", "Give .npy, or .bin of uint16"
        ) from error
    parts = [slice(start, start + BATCH_IDS) for start in range(0, len(ids) if ids.ndim else 0, BATCH_IDS)]
    whole = ids.ndim == 1 and ids.size >= 2 and np.issubdtype(ids.dtype, np.integer)
    largest = max((int(ids[part].max()) for part in parts), default=-1) if whole else -1
    if not whole or min(int(ids[part].min()) for part in parts) < 0 or largest > 2**32 - 1:
        raise DataError(
            f"{path} holds {ids.dtype} of shape {ids.shape}",
            "nothing was built",
            "Give one row of whole numbers from 0 to 4,294,967,295",
        )
    cut = len(ids) - max(2, round(len(ids) * config.val_fraction))  # no documents are known: the tail is held out
    if cut < 2:
        raise DataError(
            f"{path} holds {len(ids)} ids, of which {len(ids) - cut} are held out",
            "nothing was built",
            "Give more of them, or a smaller val_fraction",
        )
    meta: dict[str, Any] = {"tokenizer": None, "vocab_size": largest + 1, "eos": None, "chain": 0}
    kept = min(cut, config.n_tokens or cut)
    for split, part in (("train", slice(0, max(2, round(kept * config.fraction)))), ("val", slice(cut, len(ids)))):
        with (folder / f"{split}.bin").open("wb") as out:
            for start in range(part.start, part.stop, BATCH_IDS):
                out.write(ids[start : min(start + BATCH_IDS, part.stop)].astype(token_type(meta)).data)
        meta |= {f"{split}_tokens": part.stop - part.start, f"{split}_documents": 1, f"{split}_bytes": None}
    return meta

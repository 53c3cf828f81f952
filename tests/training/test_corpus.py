"""Corpora: no document in both splits, entropies that sampling confirms, damage that is noticed."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from scalefit.errors import ArgumentError, DataError
from scalefit.training.config import CorpusConfig
from scalefit.training.data import grammar
from scalefit.training.data.corpus import IGNORE, Corpus, open_corpus
from scalefit.training.data.corpus_build import CHAIN
from scalefit.training.data.documents import read_files
from scalefit.training.data.markov import MarkovSource
from scalefit.training.data.tokenizers import ByteTokenizer, SubwordTokenizer, WordTokenizer, train_tokenizer


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number:02}.txt").write_text(f"document {number}: " + "abc xyz " * (number + 20))
    return folder


def files(path: Path | str, **settings: object) -> CorpusConfig:
    return CorpusConfig(source="files", path=str(path), val_fraction=0.3, **settings)


def documents(corpus: Corpus, split: str) -> set[str]:
    """The documents of one split of a corpus of bytes."""
    raw = np.asarray(getattr(corpus, split))
    return {bytes(cut[1:].astype(np.uint8)).decode() for cut in np.split(raw, np.flatnonzero(raw == 256))[1:-1]}


def test_splits_hold_whole_documents_and_never_the_same_one(texts: Path, tmp_path: Path) -> None:
    (texts / "99.txt").write_text((texts / "00.txt").read_text())  # a copy counts once
    corpus = open_corpus(files(texts), tmp_path)
    train, val = (documents(corpus, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (corpus.meta["train_documents"], corpus.meta["val_documents"])
    assert train and val and not train & val
    assert len(train | val) == 60 and train | val == {path.read_text() for path in texts.iterdir()}


def test_the_split_of_a_document_does_not_depend_on_the_others(texts: Path, tmp_path: Path) -> None:
    before = open_corpus(files(texts), tmp_path / "a")
    for number in range(30):
        (texts / f"{number:02}.txt").unlink()
    after = open_corpus(files(texts), tmp_path / "b")
    left = {path.read_text() for path in texts.iterdir()}
    for split in ("train", "val"):
        assert documents(after, split) == documents(before, split) & left != set()


def test_fraction_keeps_the_held_out_documents(texts: Path, tmp_path: Path) -> None:
    whole, part = (open_corpus(files(texts, fraction=f), tmp_path) for f in (1.0, 0.4))
    assert part.meta["val_sha256"] == whole.meta["val_sha256"]
    assert part.meta["train_documents"] < whole.meta["train_documents"]


@pytest.mark.parametrize("name", ["byte", "words", "bpe:300"])
def test_tokenizers_keep_the_bytes_apart(texts: Path, tmp_path: Path, name: str) -> None:
    corpus = open_corpus(files(texts, tokenizer=name), tmp_path)
    assert corpus.train.max() < corpus.vocab_size
    assert (
        corpus.meta["train_bytes"] == sum(len(path.read_bytes()) for path in texts.iterdir()) - corpus.meta["val_bytes"]
    )


def test_bpe_does_not_depend_on_the_order_of_documents(texts: Path) -> None:
    documents = [path.read_text() for path in sorted(texts.iterdir())]
    one, other = (SubwordTokenizer.train(order, 290).spec for order in (documents, documents[::-1]))
    assert one == other


def test_tokenizer_round_trip_and_errors() -> None:
    assert bytes(ByteTokenizer().encode("héllo").astype(np.uint8)).decode() == "héllo"
    words = WordTokenizer.train(["b a", "c"])
    assert words.encode("a b c").tolist() == [1, 2, 3]
    with pytest.raises(DataError, match="'zebra'"):
        words.encode("a zebra")
    for name in ("nonsense", "bpe:x", "bpe:20"):
        with pytest.raises(ArgumentError):
            train_tokenizer(name, ["a"])


def test_jsonl_parquet_and_tar(tmp_path: Path) -> None:
    import tarfile

    import pandas as pd

    rows = [{"content": f"text number {i} " * 5} for i in range(40)]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    pd.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
    with tarfile.open(tmp_path / "a.tar.xz", "w:xz") as archive:
        for number, row in enumerate(rows):
            path = tmp_path / f"{number:02}.txt"
            path.write_text(row["content"])
            archive.add(path, path.name)
            path.unlink()
    shas = {
        open_corpus(files(tmp_path / name, text_field="content"), tmp_path / "store").sha
        for name in ("a.jsonl", "a.parquet", "a.tar.xz")
    }
    assert len(shas) == 1
    for name in ("a.jsonl", "a.parquet"):
        with pytest.raises(DataError, match="'text'"):
            open_corpus(files(tmp_path / name), tmp_path / "store")


def test_a_folder_that_changed_is_read_again(texts: Path, tmp_path: Path) -> None:
    config = files(texts)
    first = open_corpus(config, tmp_path)
    assert open_corpus(config, tmp_path).meta["path"] == first.meta["path"]
    (texts / "new.txt").write_text("one more document " * 20)
    assert open_corpus(config, tmp_path).sha != first.sha and len(first.sha) == 16


def test_ids_are_taken_as_they_are(tmp_path: Path) -> None:
    ids = np.arange(1000) % 50
    np.save(tmp_path / "ids.npy", ids)
    corpus = open_corpus(CorpusConfig(source="ids", path=str(tmp_path / "ids.npy")), tmp_path)
    assert np.array_equal(np.concatenate([corpus.train, corpus.val]), ids) and corpus.vocab_size == 50
    np.save(tmp_path / "bad.npy", np.ones((3, 3)))
    with pytest.raises(DataError, match="float64"):
        open_corpus(CorpusConfig(source="ids", path=str(tmp_path / "bad.npy")), tmp_path)


def test_missing_files_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        open_corpus(files(tmp_path / "nowhere"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_damaged_tokens_are_noticed(tmp_path: Path) -> None:
    config = CorpusConfig(source="markov", n_states=16, branching=2, n_tokens=20_000)
    corpus = open_corpus(config, tmp_path)
    path = Path(corpus.meta["path"])
    content = bytearray((path / "train.bin").read_bytes())
    content[100] ^= 1
    (path / "train.bin").write_bytes(content)
    os.utime(path / "corpus.json", (0, 0))  # a new process would look again; here the file's time says so
    with pytest.raises(DataError, match="sha256"):
        open_corpus(config, tmp_path)


def test_unwritable_store_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="Cannot write"):
        open_corpus(CorpusConfig(source="markov", n_tokens=10_000), tmp_path / "file" / "corpora")


def test_a_disk_that_fills_up_under_a_corpus_is_one_clear_error(tmp_path: Path, monkeypatch) -> None:
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    config = CorpusConfig(source="markov", n_tokens=10_000)
    with pytest.raises(DataError, match="the disk is full; free some space"):
        open_corpus(config, tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert open_corpus(config, tmp_path).meta["train_tokens"] > 0


def test_question_formation_entropy_is_the_published_one() -> None:
    # Measured from the published grammar and from the published test file of 10,000 lines, independently of this code
    nats, words = grammar.line_entropy("grammar")
    assert nats == pytest.approx(20.308, abs=1e-3) and words == pytest.approx(19.578, abs=1e-3)
    nats, words = grammar.line_entropy("mccoy")
    assert nats / words == pytest.approx(1.041, abs=0.003) and words == pytest.approx(22.37, abs=0.1)


@pytest.mark.parametrize("mode", ["grammar", "mccoy"])
def test_question_formation_lines_have_the_derived_statistics(mode: str) -> None:
    lines = list(grammar.sample_lines(6000, seed=7, mode=mode))
    nats, words = grammar.line_entropy(mode)
    lengths = np.array([len(line.split()) for line in lines])
    assert abs(lengths.mean() - words) < 4 * lengths.std() / len(lines) ** 0.5
    assert np.mean(["quest" in line for line in lines]) == pytest.approx(0.4, abs=0.03)
    # log-probability of the lexical choices alone: every line has at least det, noun, aux, verb
    assert len(set(lines)) > 0.9 * len(lines) and nats > math.log(len(set(lines)))


def test_questions_move_the_main_auxiliary() -> None:
    for line in list(grammar.sample_lines(300, seed=1)):
        sentence, _, rest = line.partition(" . ")
        kind, _, second = rest.partition(" ")
        if kind == "decl":
            assert second == f"{sentence} ."
            continue
        words = second.removesuffix(" ?").split()
        restored = [words[1:i] + [words[0]] + words[i:] for i in range(1, len(words) + 1)]
        assert sentence.split() in restored


def test_line_rows_score_each_word_once(tmp_path: Path) -> None:
    config = CorpusConfig(source="question_formation", n_lines=300, tokenizer="words", packing="line", val_fraction=0.2)
    corpus = open_corpus(config, tmp_path)
    inputs, targets = corpus.rows("train", 80, np.arange(len(corpus.starts("train", 80))))
    assert (targets != IGNORE).sum() == len(corpus.train) - 1 == corpus.unique_tokens(80)
    assert (inputs[:, 0] == 0).all()
    lengths = (targets != IGNORE).sum(axis=1)
    assert all(targets[row, length - 1] == 0 for row, length in enumerate(lengths))
    assert corpus.entropy(80) == pytest.approx(20.308 / 20.578, abs=1e-3)
    with pytest.raises(ArgumentError, match="T_max"):
        corpus.starts("train", 20)


@pytest.mark.parametrize(("order", "n_states"), [(1, 40), (2, 24), (3, 8)])
def test_markov_entropy_is_the_mean_surprise_of_its_samples(order: int, n_states: int) -> None:
    source = MarkovSource(order, n_states, 3, seed=5)
    np.testing.assert_allclose(source.table.sum(axis=1), 1.0)
    chains = source.sample(200, 400, np.random.default_rng(0)).astype(int)
    context = sum(chains[:, i : i - order] * n_states ** (order - 1 - i) for i in range(order))
    surprise = -np.log(source.table[context, chains[:, order:]])
    error = surprise.mean(axis=1).std() / 200**0.5
    assert abs(surprise.mean() - source.entropy_rate) < 4 * error
    assert source.window_entropy(64) >= source.entropy_rate
    # the stationary distribution does not move
    p = source.stationary
    moved = (p[:, None] * source.table).reshape(n_states, -1, n_states).sum(axis=0).reshape(-1)
    np.testing.assert_allclose(moved, p, atol=1e-12)


def test_the_same_seed_gives_the_same_chains_in_every_version() -> None:
    chains = MarkovSource(2, 16, 3, seed=5).sample(50, 200, np.random.default_rng(0))
    assert hashlib.sha256(chains.tobytes()).hexdigest()[:16] == "5a4fe8bc35e430fe"  # of version 0.1


def test_markov_rows_never_cross_a_restart(tmp_path: Path) -> None:
    corpus = open_corpus(CorpusConfig(source="markov", n_states=16, branching=2, n_tokens=50_000), tmp_path)
    starts = corpus.starts("train", 128)
    assert ((starts // CHAIN) == ((starts + 128) // CHAIN)).all()
    assert len(starts) == 64 * corpus.meta["train_documents"]


def test_too_large_a_markov_table_is_refused() -> None:
    with pytest.raises(ArgumentError, match="n_states"):
        MarkovSource(3, 200, 2, 0)


def test_a_lone_file_of_text_is_cut_at_its_blank_lines(tmp_path: Path) -> None:
    speeches = [f"KING {i}:\nSpeech number {i}.\n" for i in range(40)]
    play = tmp_path / "play.raw"  # named by itself, it needs no known suffix
    play.write_text("\n".join(speeches))
    corpus = open_corpus(CorpusConfig(source="files", path=str(play), val_fraction=0.2), tmp_path / "corpora")
    texts = {split: bytes(i for i in getattr(corpus, split) if i < 256).decode() for split in ("train", "val")}
    for i in range(40):
        held = [split for split, text in texts.items() if f"Speech number {i}." in text]
        assert len(held) == 1
    assert "Speech" in texts["val"]


def test_lines_of_a_file_are_documents_where_a_row_is_one(tmp_path: Path) -> None:
    lines = tmp_path / "question.train"
    lines.write_text("\n".join(f"line {i} ends here ." for i in range(60)) + "\n")
    config = CorpusConfig(source="files", path=str(lines), tokenizer="words", packing="line", val_fraction=0.2)
    corpus = open_corpus(config, tmp_path / "corpora")
    assert corpus.meta["train_documents"] + corpus.meta["val_documents"] == 60
    binary = tmp_path / "weights.bin"
    binary.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(DataError, match="No text"):
        open_corpus(CorpusConfig(source="files", path=str(binary)), tmp_path / "corpora")


def test_a_limit_counts_the_documents_that_are_there(texts: Path, tmp_path: Path) -> None:
    corpus = open_corpus(files(texts, n_tokens=2_000), tmp_path)
    raw = np.asarray(corpus.train)
    assert corpus.meta["train_documents"] == (raw == 256).sum() - 1 < 42
    assert corpus.meta["train_bytes"] == (raw < 256).sum() and 2_000 <= len(raw) < 2_600


def test_lines_without_a_text_are_not_documents(tmp_path: Path) -> None:
    path = tmp_path / "docs.jsonl"
    path.write_text('{"text": "one"}\n{"text": null}\n{"text": ""}\n{"text": 2}\n')
    assert list(read_files(str(path), "text")) == ["one", "2"]


def test_a_large_vocabulary_is_stored_in_four_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for part in range(10):
        (folder / f"{part}.txt").write_text(" ".join(f"w{part}x{i}" for i in range(7_000)))
    corpus = open_corpus(files(folder, tokenizer="words"), tmp_path)
    assert corpus.vocab_size == 70_001 and corpus.train.dtype == np.uint32
    assert {int(corpus.train.max()), int(corpus.val.max())} & {70_000} and len(np.unique(corpus.train)) > 28_000
    wide = np.arange(200_000) % 130_000
    np.save(tmp_path / "wide.npy", wide)
    ids = open_corpus(CorpusConfig(source="ids", path=str(tmp_path / "wide.npy"), val_fraction=0.1), tmp_path)
    assert ids.vocab_size == 130_000 and (np.append(ids.train, ids.val) == wide).all()
    inputs, targets = ids.rows("train", 64, np.array([2_000]))
    assert (targets[0, :-1] == inputs[0, 1:]).all() and inputs[0, 0] == wide[2_000 * 64]


@pytest.mark.parametrize("tokenizer", ["byte", "words", "bpe:300"])
def test_text_is_tokenised_in_parts(texts: Path, tmp_path: Path, monkeypatch, tokenizer: str) -> None:
    """The tokens do not depend on how much text is held at a time, and little is."""
    from scalefit.training.data import corpus_build

    whole = open_corpus(files(texts, tokenizer=tokenizer), tmp_path / "whole")
    held: list[int] = []
    original = corpus_build.documents.in_batches

    def watched(pairs, size, length):
        for batch in original(pairs, 100, length):
            held.append(len(batch))
            yield batch

    monkeypatch.setattr(corpus_build.documents, "in_batches", watched)
    assert open_corpus(files(texts, tokenizer=tokenizer), tmp_path / "parts").sha == whole.sha
    assert len(held) > 5 and max(held) < 20


def test_a_file_of_ids_is_not_read_into_memory(tmp_path: Path, monkeypatch) -> None:
    from scalefit.training.data import corpus_build

    monkeypatch.setattr(corpus_build, "BATCH_IDS", 1_000)
    monkeypatch.setattr(np, "fromfile", None)
    np.arange(20_500, dtype=np.uint16).tofile(tmp_path / "ids.bin")
    corpus = open_corpus(CorpusConfig(source="ids", path=str(tmp_path / "ids.bin"), val_fraction=0.1), tmp_path)
    assert (np.append(corpus.train, corpus.val) == np.arange(20_500)).all()


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz", "tar.bz2"])
def test_archives_of_any_packing_hold_the_same_documents(tmp_path: Path, suffix: str) -> None:
    import tarfile

    names = ["b.txt", "a/c.txt", "z.bin", "a.txt"]
    with tarfile.open(tmp_path / f"docs.{suffix}", f"w:{suffix[4:]}") as archive:
        for name in names:
            (tmp_path / "one").write_text(f"text of {name}")
            archive.add(tmp_path / "one", name)
    assert list(read_files(str(tmp_path / f"docs.{suffix}"), "text")) == [
        "text of a.txt", "text of a/c.txt", "text of b.txt"
    ]  # fmt: skip


def test_a_handful_of_ids_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", np.arange(3))
    with pytest.raises(DataError, match="holds 3 ids, of which 2 are held out"):
        open_corpus(CorpusConfig(source="ids", path=str(tmp_path / "ids.npy")), tmp_path)

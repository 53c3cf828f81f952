"""sf.entropy_bounds: bounds hold and brackets cover on sources of known entropy, and text stays undetermined."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

import scalefit as sf
from scalefit.corpora.limits import _over_context
from scalefit.corpora.read import read_corpus
from scalefit.training.config import CorpusConfig
from scalefit.training.data.grammar import line_entropy
from scalefit.training.data.markov import MarkovSource

RNG = np.random.default_rng


def holds(found, entropy):
    """The upper bound holds, and an estimate, where there is one, covers."""
    assert found.upper > entropy - 1e-9
    if found.from_text is not None:
        assert found.from_text.lower <= entropy <= found.from_text.upper
        assert found.from_text.lower <= found.from_text.estimate <= found.from_text.upper
    return found


@pytest.mark.parametrize(
    ("order", "states", "branching", "tokens"), [(1, 8, 2, 20), (1, 64, 8, 100), (2, 16, 4, 100), (3, 8, 2, 100)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_brackets_cover_markov_sources(order, states, branching, tokens, seed):
    source = MarkovSource(order, states, branching, seed)
    found = holds(sf.entropy_bounds(source.sample(tokens, 1000, RNG(seed))), source.entropy_rate)
    assert found.from_text is not None and found.from_text.context == order
    width = found.from_text.upper - found.from_text.lower
    assert width < 0.2 * found.from_text.upper


def test_too_little_of_a_source_leaves_it_undetermined():
    """The order is three and the text too short to see it: n-grams stop at two, and nothing is claimed."""
    source = MarkovSource(3, 32, 8, 0)
    found = holds(sf.entropy_bounds(source.sample(20, 1000, RNG(0))), source.entropy_rate)
    assert found.from_text is None and found.estimate is None and found.interval is None
    assert "too rare to learn" in found.why_not and "not determined" in found.verdict


@pytest.mark.parametrize("kind", ["uniform", "zipf"])
def test_independent_tokens_have_their_unigram_entropy(kind):
    p = np.ones(50) if kind == "uniform" else 1.0 / np.arange(1, 51)
    p /= p.sum()
    found = holds(sf.entropy_bounds(RNG(0).choice(50, (100, 1000), p=p)), -(p * np.log(p)).sum())
    assert found.from_text is not None and found.from_text.context == 0


def test_a_shuffled_text_has_its_unigram_entropy():
    text = "".join(chr(97 + k) for k in RNG(0).geometric(0.3, 60_000).clip(1, 20) - 1)
    letters = np.frombuffer(text.encode(), np.uint8)
    share = np.bincount(letters)[np.bincount(letters) > 0] / len(letters)
    unigram = float(-(share * np.log(share)).sum())
    found = sf.entropy_bounds("\n".join(text[i : i + 59] for i in range(0, len(text), 60)).replace("\n", "a"))
    assert found.from_text is not None and found.from_text.lower < unigram < found.from_text.upper + 0.02
    assert found.bits_per_byte(unigram) == pytest.approx(unigram / math.log(2), rel=0.01)


def test_a_mixture_is_covered_or_undetermined():
    a, b = MarkovSource(1, 32, 4, 1), MarkovSource(1, 32, 4, 2)
    rng = RNG(3)
    rows = np.concatenate([a.sample(75, 1000, rng), b.sample(75, 1000, rng)])
    holds(sf.entropy_bounds(rows[rng.permutation(150)]), (a.entropy_rate + b.entropy_rate) / 2)


def test_a_grammar_that_copies_far_back_is_undetermined_but_exact():
    config = CorpusConfig(source="question_formation", tokenizer="words", packing="line", n_lines=8000)
    found = sf.entropy_bounds(config)
    nats, words = line_entropy()
    assert found.exact == pytest.approx(nats / (words + 1)) and found.estimate == found.exact
    assert found.from_text is None and "further back" in found.why_not
    assert found.upper > found.exact and found.interval == (found.exact, found.exact)
    losses = found.table.set_index("model")["loss"]
    assert losses["n-gram with its piece's history"] < losses.drop("n-gram with its piece's history").min() - 0.3


def test_dependence_that_no_n_gram_sees_shows_why_a_lower_bound_needs_an_assumption():
    """Each bit is mostly the exclusive or of those 1 and 20 back: every n-gram sees a fair coin."""
    rng = RNG(0)
    bits = rng.integers(0, 2, (60, 1000))
    for j in range(20, 1000):
        bits[:, j] = np.where(rng.random(60) < 0.9, bits[:, j - 1] ^ bits[:, j - 20], bits[:, j])
    found = sf.entropy_bounds(bits)
    assert found.upper > 0.19852 and found.from_text.lower > 0.6
    assert "further back than 1 carry no information, which no text can prove" in found.verdict
    short = rng.integers(0, 2, (60, 1000))
    for j in range(5, 1000):
        short[:, j] = np.where(rng.random(60) < 0.9, short[:, j - 1] ^ short[:, j - 5], short[:, j])
    assert holds(sf.entropy_bounds(short), 0.19852).from_text.context == 5


def test_a_harness_markov_corpus_knows_its_entropy():
    config = CorpusConfig(source="markov", n_states=16, branching=3, n_tokens=60_000)
    found = sf.entropy_bounds(config)
    assert found.exact == MarkovSource(1, 16, 3, 0).entropy_rate == found.estimate
    assert found.from_text.lower < found.exact < found.from_text.upper
    assert "exactly" in found.verdict


def test_what_is_printed_saved_and_drawn(tmp_path):
    rows = MarkovSource(1, 8, 2, 0).sample(20, 1000, RNG(0))
    found = sf.entropy_bounds(rows)
    text = str(found)
    assert found.verdict.split()[0] in text and "in sample" in text and "token ids" in text
    assert math.isnan(found.bits_per_byte(1.0)) and "bit/byte," not in found.verdict
    record = json.loads(found.to_json(tmp_path / "h.json"))
    assert record == json.loads((tmp_path / "h.json").read_text()) and record["upper"] == found.upper
    assert record["from_text"]["context"] == 1 and len(record["table"]) == len(found.table)
    axes = found.plot()
    assert axes.get_xlabel() == "context [tokens]" and len(axes.lines) >= 4
    assert (found.sizes.index == sorted(found.sizes.index)).all()


def test_bits_per_byte_count_the_bytes_of_the_text():
    words = RNG(0).choice(["alpha ", "beta ", "gamma ", "delta "], 6000)
    documents = ["".join(words[i : i + 100]) for i in range(0, 6000, 100)]
    by_word = sf.entropy_bounds(documents, tokenizer="words")
    by_byte = sf.entropy_bounds(documents)
    assert by_word.bits_per_byte(by_word.upper) == pytest.approx(by_byte.bits_per_byte(by_byte.upper), rel=0.06)
    assert by_byte.bytes_per_token == pytest.approx(1, abs=0.01) and by_word.bytes_per_token > 5


def test_the_same_seed_gives_the_same_numbers():
    rows = MarkovSource(1, 8, 2, 0).sample(20, 1000, RNG(0))
    assert sf.entropy_bounds(rows, seed=3).upper == sf.entropy_bounds(rows, seed=3).upper


def test_a_large_corpus_is_cut_and_says_so():
    rows = MarkovSource(1, 8, 2, 0).sample(60, 1000, RNG(0))
    found = sf.entropy_bounds(rows, max_tokens=20_000)
    assert found.n_train == 20_000 and any(note.code == "sampled" for note in found.notes)
    assert found.upper > MarkovSource(1, 8, 2, 0).entropy_rate


def test_a_text_of_more_tokens_than_characters_is_drawn_from_all_of_it_and_says_so():
    documents = ["".join(RNG(k).choice(list("äöüéß"), 1000)) for k in range(30)]  # two bytes a character
    sample = read_corpus(documents, max_tokens=30_000)
    (note,) = [note for note in sample.notes if note.code == "sampled"]
    assert sample.n_train == note.details["drawn"] == 30_000 and note.details["tokens"] > 40_000
    assert (np.diff(sample.documents) < 0).any()  # in random order, not the first ones


def test_words_are_not_cut_and_what_is_drawn_of_them_is_counted_in_words():
    rng = RNG(0)
    text = [" ".join(rng.choice(["undetermined", "predictable", "forecasting", "mixture"], 500)) for _ in range(40)]
    sample = read_corpus(text, tokenizer="words", max_tokens=4_000)
    (note,) = [note for note in sample.notes if note.code == "sampled"]
    assert sample.n_train == note.details["drawn"] == 4_000 < note.details["tokens"] < 20_001
    assert sample.vocab_size == 5


def test_a_corpus_is_called_by_the_name_of_its_file(tmp_path):
    (tmp_path / "book.txt").write_text("to be or not to be, that is the question\n" * 300)
    assert read_corpus(tmp_path / "book.txt").source == "book.txt"


def test_repeated_documents_are_not_learned_and_asked():
    documents = ["".join(RNG(k).choice(list("abcdef"), 200)) for k in range(60)]
    found = sf.entropy_bounds(documents * 3)
    assert any(note.code == "repeated_documents" for note in found.notes)
    assert found.upper > math.log(6) * 0.98  # copies would be known by heart


@pytest.mark.parametrize(
    ("corpus", "options", "words"),
    [
        ("nothing_there.txt", {}, "nothing_there"),
        ("too short\n", {}, "too few"),
        (np.ones((3, 3)), {}, "whole numbers"),
        (np.array([1, -1] * 3000), {}, "whole numbers"),
        (7, {}, "is not a corpus"),
        (CorpusConfig(source="facts", n_keys=64, n_states=8, n_tokens=9000), {}, "scores values alone"),
        (np.arange(10_000) % 7, {"level": 90}, "between 0 and 1"),
        (np.arange(10_000) % 7, {"max_tokens": 10}, "at least 2000"),
        (np.arange(10_000) % 7, {"heldout": "half"}, "not known"),
        (np.arange(10_000) % 7, {"heldout": "document"}, "1 documents"),
        (np.arange(10_000) % 7, {"model": 3}, "no held-out loss"),
        ("a b\n" * 3000, {"tokenizer": "morse"}, "Unknown tokenizer"),
        ("a b\n" * 3000, {"tokenizer": 5}, "not the name"),
    ],
)
def test_bad_input_gets_one_clear_error(corpus, options, words):
    with pytest.raises(ValueError, match=words) as caught:
        sf.entropy_bounds(corpus, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("unit", ["byte"])
def test_english_is_bounded_and_not_determined(unit):
    folder = os.environ.get("SCALEFIT_DATA_DIR", "")
    path = Path(folder) / "corpora" / "tinyshakespeare.txt"
    if not folder or not path.exists():
        pytest.skip("needs corpora/tinyshakespeare.txt in SCALEFIT_DATA_DIR")
    found = sf.entropy_bounds(path, tokenizer=unit, max_tokens=200_000)
    assert found.estimate is None
    assert 1.9 < found.bits_per_byte(found.upper) < 2.7  # gzip -9 takes 3.2 bit, xz 2.6 of the whole file


def test_losses_extrapolate_by_every_form_and_say_so():
    """Order 2 over 64 states: 20,000 tokens do not teach it, so there is no bracket but a range of forms."""
    source = MarkovSource(2, 64, 4, 1)
    found = sf.entropy_bounds(source.sample(20, 1000, np.random.default_rng(1)))
    far = found.extrapolation
    assert found.from_text is None and far.lower <= source.entropy_rate <= far.upper
    assert "extrapolate to" in found.verdict and "by the form" in found.verdict
    assert far.lower <= min(far.forms.values()) and max(far.forms.values()) <= far.upper
    assert found.to_dict()["extrapolation"]["forms"] == far.forms


def test_exponential_and_power_gains_are_summed():
    """Gains 1/2^n go on by as much as the last; gains n^-3 beyond n by about 1/(2 n^2)."""
    n = np.arange(1, 40)
    halves = np.concatenate([[2.0], 2.0 - np.cumsum(0.5**n)])
    assert _over_context(halves, 8)["exponential"] == pytest.approx(1.0, abs=1e-12)
    cubes = np.concatenate([[2.0], 2.0 - np.cumsum(n**-3.0)])
    assert _over_context(cubes, 12)["power"] == pytest.approx(2.0 - 1.2020569, abs=5e-4)
    assert _over_context(cubes, 2).keys() == {"no further"}

"""The cache of words gives the ids of the tokenizers library, character for character."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

pytest.importorskip("tokenizers", reason="tokenizers is not installed")

from scalefit.training.data import word_cache
from scalefit.training.data.tokenizers import SubwordTokenizer
from scalefit.training.data.word_cache import LLAMA3_PATTERN, cache_for

TEXT = "It's the cat's 2nd  dog; they'll don't\n\n  see\tÉtude naïve Ελλάδα Москва 12\u2009345 “quoted” — x²\n" * 3
CODE = "def f(x):\n    return x.y + 1234 # 'so' .Next (a)b\r\n" * 5
GPT2 = SubwordTokenizer.train([TEXT, CODE], 400)


def _llama3() -> SubwordTokenizer:
    """The same merges behind Llama 3's way to cut."""
    spec = json.loads(GPT2.spec["json"])
    cut = {"type": "Split", "pattern": {"Regex": LLAMA3_PATTERN}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    spec["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [cut, level]}
    return SubwordTokenizer({**GPT2.spec, "json": json.dumps(spec)})


BOTH = {"gpt2": GPT2, "llama3": _llama3()}
#: Every kind of byte, spaces of Unicode, a mark that combines, and what the two patterns treat apart.
HARD = " \n\r\t\v\x1c\x85\xa0\u1680\u2003\u2028\u3000'’“.,-_#1²٣asdtlmrvéßſЖ漢\u0301\x00\x7f😀ïÀ"


def by_the_library(tokenizer: SubwordTokenizer, text: str) -> list[int]:
    return tokenizer._inner.encode(text, add_special_tokens=False).ids


def words(tokenizer: SubwordTokenizer, text: str) -> list[str]:
    """Words of the library: ids would not show a cut where nothing is merged."""
    return [word for word, _ in tokenizer._inner.pre_tokenizer.pre_tokenize_str(text)]


def pieces(tokenizer: SubwordTokenizer, text: str) -> list[str]:
    raw = text.encode()
    windows = word_cache.windows(raw, np.array([len(raw)]), tokenizer._cache._cuts)
    return [
        raw[begin + a : begin + b].decode() for begin, cuts in windows for a, b in zip(cuts, cuts[1:], strict=False)
    ]


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=200, deadline=None)
@given(texts=st.lists(st.text(alphabet=st.one_of(st.sampled_from(HARD), st.characters()), max_size=40), max_size=4))
def test_any_texts(name: str, texts: list[str]) -> None:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return
    tokenizer = BOTH[name]
    assert tokenizer._cache is not None
    found = [ids.tolist() for ids in tokenizer.encode_batch(texts)]
    assert found == [by_the_library(tokenizer, text) for text in texts]
    for text in texts:
        assert [word for piece in pieces(tokenizer, text) for word in words(tokenizer, piece)] == words(tokenizer, text)


@pytest.mark.parametrize("name", BOTH)
def test_every_pair_of_hard_characters(name: str) -> None:
    tokenizer = BOTH[name]
    texts = [f"{before}{a}{b}{after}" for a in HARD for b in HARD for before, after in (("x", "y"), ("'", " 1"))]
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        assert ids.tolist() == by_the_library(tokenizer, text), repr(text)
        found = [word for piece in pieces(tokenizer, text) for word in words(tokenizer, piece)]
        assert found == words(tokenizer, text), repr(text)


def test_no_space_of_unicode_ends_a_piece() -> None:
    spaces = [chr(place) for place in range(0x10000) if chr(place).isspace()]
    assert len(spaces) > 20
    assert not any(word_cache._KINDS[space.encode()[-1]] in (word_cache.LAST, word_cache.SIGN) for space in spaces)


def test_texts_across_windows(monkeypatch) -> None:
    texts = ["", TEXT, "", "", CODE + "漢" * 50 + CODE, "a", "", TEXT[:31], ""]
    whole = [by_the_library(GPT2, text) for text in texts]
    for window in (1, 2, 7, 64, len(TEXT.encode())):
        monkeypatch.setattr(word_cache, "WINDOW", window)
        assert [ids.tolist() for ids in GPT2.encode_batch(texts)] == whole


def test_pieces_are_those_of_the_tokenizer() -> None:
    fresh = SubwordTokenizer(GPT2.spec)
    fresh.encode("the cat's 2nd cat, the\ndog")
    assert list(fresh._cache._index) == [b"the", b" cat", b"'s", b" 2", b"nd", b",", b" the", b"\ndog"]
    assert fresh.encode("the cat").dtype == np.uint16


def test_a_full_cache_begins_again(monkeypatch) -> None:
    for limit in ("LARGEST", "LARGEST_TEXT"):
        with monkeypatch.context() as patch:
            patch.setattr(word_cache, limit, 5)
            fresh = SubwordTokenizer(GPT2.spec)
            assert fresh.encode(TEXT).tolist() == by_the_library(GPT2, TEXT) and len(fresh._cache._index) > 5
            assert fresh.encode("other words here").tolist() == by_the_library(GPT2, "other words here")
            assert list(fresh._cache._index) == [b"other", b" words", b" here"]  # those of before are gone
            assert fresh.encode(TEXT).tolist() == by_the_library(GPT2, TEXT)


def test_a_failed_encode_forgets_its_words(monkeypatch) -> None:
    fresh = SubwordTokenizer(GPT2.spec)
    fresh.encode("known words")
    cache = fresh._cache
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_encode", lambda texts: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fresh.encode("some new words")
    for text in ("some new words", "known words", TEXT):
        assert fresh.encode(text).tolist() == by_the_library(GPT2, text)


def test_a_large_cache_is_not_copied_for_each_text() -> None:
    fresh, copies = SubwordTokenizer(GPT2.spec), []
    for number in range(1_000):
        text = f" w{chr(97 + number % 26)}{chr(97 + number // 26)} x"
        assert fresh.encode(text).tolist() == by_the_library(GPT2, text)
        if not copies or fresh._cache._ids is not copies[-1]:
            copies.append(fresh._cache._ids)
    assert len(copies) < 20


def test_special_tokens_go_through_the_library() -> None:
    cache = GPT2._cache
    assert cache is not None and cache.knows(TEXT) and cache.knows("<|start|>")
    assert not cache.knows("a <|endoftext|> b")
    texts = ["a <|endoftext|> b", TEXT, "<|endoftext|>", "漢"]
    assert [ids.tolist() for ids in GPT2.encode_batch(texts)] == [by_the_library(GPT2, text) for text in texts]


def test_other_tokenizers_have_no_cache(monkeypatch) -> None:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    inner = Tokenizer.from_str(GPT2.spec["json"])
    assert cache_for(inner, np.uint16) is not None
    inner.normalizer = normalizers.Lowercase()
    assert cache_for(inner, np.uint16) is None
    inner.normalizer = None
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = pre_tokenizers.Split(Regex(r"\w+"), "isolated")
    inverted = pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated", invert=True)
    removed = pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "removed")
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for steps in ([split, level], [inverted, level], [removed, level], [split, whole], [level], [level, split]):
        inner.pre_tokenizer = pre_tokenizers.Sequence(steps)
        assert cache_for(inner, np.uint16) is None
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    assert cache_for(inner, np.uint16) is None
    assert cache_for(Tokenizer(models.WordLevel({"a": 0}, unk_token="a")), np.uint16) is None
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    plain = SubwordTokenizer(GPT2.spec)
    assert plain._cache is None and plain.encode(TEXT).tolist() == by_the_library(GPT2, TEXT)

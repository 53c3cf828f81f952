"""The cache of words gives the ids of the tokenizers library, character for character."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

pytest.importorskip("tokenizers", reason="tokenizers is not installed")

from scalefit.training.data import word_cache
from scalefit.training.data.tokenizers import SubwordTokenizer
from scalefit.training.data.word_cache import _PLACES, cache_for

TEXT = "It's the cat's 2nd  dog; they'll don't\n\n  see\tÉtude naïve Ελλάδα Москва 12\u2009345 “quoted” — x²\n" * 3
TOKENIZER = SubwordTokenizer.train([TEXT, "def f(x):\n    return x + 1\n" * 5], 400)
SETTLED = "".join(chr(place) for place in _PLACES)


def by_the_library(text: str) -> list[int]:
    return TOKENIZER._inner.encode(text, add_special_tokens=False).ids


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.one_of(st.sampled_from(SETTLED), st.sampled_from(" \n'sdtlmrve1aé”")), max_size=60))
def test_texts_of_settled_characters(text: str) -> None:
    assert TOKENIZER.encode(text).tolist() == by_the_library(text)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    assert TOKENIZER.encode(text).tolist() == by_the_library(text)


def test_every_character_beside_every_kind() -> None:
    cache = cache_for(TOKENIZER._inner)
    assert cache is not None
    for place in _PLACES:
        for text in (f"a{chr(place)}b", f" {chr(place)} 1", f"{chr(place)}{chr(place)}", f"'{chr(place)}.{chr(place)}"):
            assert TOKENIZER.encode(text).tolist() == by_the_library(text), (hex(place), text)
    assert cache.knows(TEXT) and not cache.knows("漢") and not cache.knows("a <|endoftext|> b")
    for text in ("漢字 and more", "a <|endoftext|> b", "", TEXT):
        assert TOKENIZER.encode(text).tolist() == by_the_library(text)


def test_a_full_cache_begins_again(monkeypatch) -> None:
    monkeypatch.setattr(word_cache, "LARGEST", 5)
    fresh = SubwordTokenizer(TOKENIZER.spec)
    assert fresh.encode(TEXT).tolist() == by_the_library(TEXT) and len(fresh._cache._index) > 5
    assert fresh.encode("other words here").tolist() == by_the_library("other words here")
    assert list(fresh._cache._index) == ["other", " words", " here"]  # those of before are gone
    assert fresh.encode(TEXT).tolist() == by_the_library(TEXT)
    assert fresh.encode_batch([TEXT, "漢", ""])[1].tolist() == by_the_library("漢")


def test_a_failed_encode_forgets_its_words(monkeypatch) -> None:
    fresh = SubwordTokenizer(TOKENIZER.spec)
    fresh.encode("known words")
    cache = fresh._cache
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_encode", lambda texts: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fresh.encode("some new words")
    for text in ("some new words", "known words", TEXT):
        assert fresh.encode(text).tolist() == by_the_library(text)


def test_a_large_cache_is_not_copied_for_each_text() -> None:
    fresh, copies = SubwordTokenizer(TOKENIZER.spec), []
    for number in range(1_000):
        text = f" w{chr(97 + number % 26)}{chr(97 + number // 26)} x"
        assert fresh.encode(text).tolist() == by_the_library(text)
        if not copies or fresh._cache._ids is not copies[-1]:
            copies.append(fresh._cache._ids)
    assert len(copies) < 20


def test_other_tokenizers_have_no_cache() -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    inner = Tokenizer.from_str(TOKENIZER._inner.to_str())
    inner.normalizer = normalizers.Lowercase()
    assert cache_for(inner) is None
    inner.normalizer = None
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    assert cache_for(inner) is None
    assert cache_for(Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))) is None

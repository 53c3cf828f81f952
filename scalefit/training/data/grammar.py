"""Question Formation (McCoy, Frank & Linzen 2020): the grammar, sampled, with its exact entropy.

doi:10.1162/tacl_a_00304. A line is a declarative sentence, the word ``decl`` or ``quest``, and the sentence
again or as a question. As published, sentences with a relative clause on the subject occur only with
``decl``; so a fifth of the lines have one, and the other two fifths each are plain ``decl`` and ``quest``.
No sentence has two derivations, so the entropy of a line is the entropy of its derivation, which is exact
from the rules.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping

import numpy as np

Rules = Mapping[str, tuple[tuple[float, tuple[str, ...]], ...]]

_NOUNS = (
    "newt orangutan peacock quail raven salamander tyrannosaurus unicorn vulture walrus xylophone yak zebra"
).split()
_PLURALS = [noun + ("es" if noun.endswith("s") else "s") for noun in _NOUNS]
_WORDS = {
    "Det": "the some my your our her".split(),
    "N_S": _NOUNS,
    "N_P": _PLURALS,
    "V_intrans": "giggle smile sleep swim wait move change read eat".split(),
    "V_trans": "entertain amuse high_five applaud confuse admire accept remember comfort".split(),
    "Aux_S": ["does", "doesn't"],
    "Aux_P": ["do", "don't"],
    "Prep": "around near with upon by behind above below".split(),
    "Rel": ["who", "that"],
}
_SYNTAX = """
S = 1 NP_M_S VP_M_S | 1 NP_M_P VP_M_P
NP_M_S = {plain} Det N_S | 1 Det N_S Prep Det N | 1 Det N_S RC_S
NP_M_P = {plain} Det N_P | 1 Det N_P Prep Det N | 1 Det N_P RC_P
NP_O = 1 Det N_S | 1 Det N_P | 1 Det N_S Prep Det N | 1 Det N_P Prep Det N | {clause} Det N_S OC_S | {clause} Det N_P OC_P
N = 1 N_S | 1 N_P
VP_M_S = {alone} Aux_S V_intrans | 1 Aux_S V_trans NP_O
VP_M_P = {alone} Aux_P V_intrans | 1 Aux_P V_trans NP_O
RC_S = {c} Rel Aux_S V_intrans | 1 Rel Det N_S Aux_S V_trans | 1 Rel Det N_P Aux_P V_trans | {c} Rel Aux_S V_trans Det N
RC_P = {c} Rel Aux_P V_intrans | 1 Rel Det N_S Aux_S V_trans | 1 Rel Det N_P Aux_P V_trans | {c} Rel Aux_P V_trans Det N
OC_S = {o} Rel Aux_S V_intrans | 1 Rel Det N_S Aux_S V_trans | 1 Rel Det N_P Aux_P V_trans | 2 Rel Aux_S V_trans Det N
OC_P = {o} Rel Aux_P V_intrans | 1 Rel Det N_S Aux_S V_trans | 1 Rel Det N_P Aux_P V_trans | 2 Rel Aux_P V_trans Det N
"""  # noqa: E501
#: RC is a relative clause on the subject and OC one on the object: in the published grammar they are the same. The
#: published files were not drawn with its weights: "mccoy" has the shares counted on the published test file of 10,000
#: lines: 11 % intransitive main verbs, plain subjects twice as frequent as ones with a prepositional phrase, four
#: equally frequent clauses on the subject, and so on.
_MODES: dict[str, dict[str, float]] = {
    "grammar": {"plain": 1, "clause": 1, "alone": 1, "c": 2, "o": 2},
    "mccoy": {"plain": 1.93, "clause": 1.31, "alone": 0.1265, "c": 1, "o": 3.86},
}


@functools.cache
def rules(mode: str = "grammar", subject_clause: bool | None = None) -> Rules:
    """Return rule -> ((probability, symbols), ...); `subject_clause`: with (True) or without one, or both."""
    table: dict[str, tuple[tuple[float, tuple[str, ...]], ...]] = {
        name: tuple((1 / len(words), (word,)) for word in words) for name, words in _WORDS.items()
    }
    for line in _SYNTAX.format(**_MODES[mode]).strip().splitlines():
        name, _, right = line.partition(" = ")
        options = [(float(item.split()[0]), tuple(item.split()[1:])) for item in right.split(" | ")]
        if subject_clause is not None and name.startswith("NP_M"):
            options = [option for option in options if option[1][-1].startswith("RC") == subject_clause]
        total = sum(weight for weight, _ in options)
        table[name] = tuple((weight / total, symbols) for weight, symbols in options)
    return table


def _moments(mode: str, subject_clause: bool) -> tuple[float, float]:
    """Entropy [nat] and expected words of a sentence, without its full stop."""
    table = rules(mode, subject_clause)

    @functools.cache
    def of(symbol: str) -> tuple[float, float]:
        if symbol not in table:
            return 0.0, 1.0
        entropy = words = 0.0
        for probability, symbols in table[symbol]:
            parts = [of(part) for part in symbols]
            entropy += probability * (sum(part[0] for part in parts) - math.log(probability))
            words += probability * sum(part[1] for part in parts)
        return entropy, words

    return of("S")


@functools.cache
def line_entropy(mode: str = "grammar") -> tuple[float, float]:
    """Return the exact entropy of a line [nat] and its expected length [token], without the end token.

    Examples
    --------
    >>> entropy, length = line_entropy()
    >>> round(entropy, 3), round(length, 3), round(entropy / (length + 1), 3)
    (20.308, 19.578, 0.987)
    """
    clause, plain = _moments(mode, True), _moments(mode, False)
    kinds = -(0.2 * math.log(0.2) + 2 * 0.4 * math.log(0.4))
    words = 0.2 * clause[1] + 0.8 * plain[1]
    return kinds + 0.2 * clause[0] + 0.8 * plain[0], 2 * (words + 1) + 1


def sample_lines(n_lines: int, seed: int, mode: str = "grammar") -> Iterator[str]:
    """Sample independent lines.

    Examples
    --------
    >>> next(iter(sample_lines(1, seed=3)))
    "the vulture that your newts do entertain doesn't eat . decl the vulture that your newts do entertain doesn't eat ."
    """
    rng = np.random.default_rng([seed, 2020])
    uniforms: Iterator[float] = iter(())
    prepared = {
        clause: {
            name: (np.cumsum([p for p, _ in options]).tolist(), [symbols for _, symbols in options])
            for name, options in rules(mode, clause).items()
        }
        for clause in (True, False)
    }

    def uniform() -> float:
        nonlocal uniforms
        value = next(uniforms, None)
        if value is None:
            uniforms = iter(rng.random(4096).tolist())
            value = next(uniforms)
        return value

    for _ in range(n_lines):
        clause = uniform() < 0.2
        question = not clause and uniform() < 0.5
        table = prepared[clause]
        words: list[str] = []
        main_auxiliary = -1
        stack = ["S"]
        while stack:
            symbol = stack.pop()
            if symbol not in table:
                words.append(symbol)
                continue
            if symbol.startswith("VP_M"):
                main_auxiliary = len(words)
            cumulative, options = table[symbol]
            draw = uniform()
            index = next((i for i, bound in enumerate(cumulative) if draw < bound), len(options) - 1)
            stack.extend(reversed(options[index]))
        sentence = " ".join(words)
        if question:
            auxiliary = words.pop(main_auxiliary)
            yield f"{sentence} . quest {auxiliary} {' '.join(words)} ?"
        else:
            yield f"{sentence} . decl {sentence} ."

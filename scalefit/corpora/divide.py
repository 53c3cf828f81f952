"""Dividing documents, as text or ids, into pieces to learn from and pieces that are held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalefit._typing import AnyArray
from scalefit.errors import ArgumentError, Note, arg

#: Longest contiguous piece of a document that is taken into a sample [tokens, or characters of text].
PIECE = 1 << 16
#: Pieces that are held out, and how far back a model that adapts looks [tokens].
CHUNK = 4096
#: Below so many training tokens nothing is known.
LEAST_TOKENS = 2_000
#: Share of a corpus that is held out, and documents from which on whole documents are.
SHARE, DOCUMENTS = 0.1, 20

Piece = tuple[int, Any, bool]


def divide(
    documents: Sequence[Any], most: int, heldout: str | None, rng: np.random.Generator
) -> tuple[list[Piece], list[Piece], str]:
    """Training and held-out pieces (document, piece, whether it ends its document), and what was held out."""
    by_document = heldout == "document" or (heldout is None and len(documents) >= DOCUMENTS)
    if by_document and len(documents) < 4:
        raise ArgumentError(
            f"{arg('heldout', 'document')} and there are {len(documents)} documents",
            "nothing was computed",
            "Give more, or hold out chunks",
        )
    total = sum(map(len, documents))
    share = min(1.0, most / max(total * (1 - SHARE), 1))
    if by_document:
        held_most = max(round(min(most, total) * SHARE), LEAST_TOKENS)
        n_held = max(round(SHARE * len(documents)), min(10, len(documents) // 4))
        n_held = max(min(n_held, held_most // (CHUNK // 4)), min(10, n_held))
        order = rng.permutation(len(documents))
        each = max(CHUNK // 4, held_most // n_held)  # of every held-out document a part, so that many are heard
        held = [(int(d), documents[d][:each], len(documents[d]) <= each) for d in order[:n_held]]
        held = [(d, piece[s : s + CHUNK], last and s + CHUNK >= len(piece)) for d, piece, last in held
                for s in range(0, len(piece), CHUNK)]  # fmt: skip
        train = [p for d in sorted(order[n_held:].tolist()) for p in _pieces(d, documents[d])]
        return train, held, "document"
    chunk = int(np.clip(total // 200, CHUNK // 16, CHUNK))  # short ones where there is little, so that there are some
    chunks = [(d, s) for d, document in enumerate(documents) for s in range(0, len(document), chunk)]
    drawn = rng.permutation(len(chunks))
    wanted = max(2, round(SHARE * share * len(chunks)))
    out = {chunks[i] for i in drawn[:wanted]}
    held, train = [], []
    for d, document in enumerate(documents):
        starts = [s for s in range(0, len(document), chunk) if (d, s) in out]
        held += [(d, document[s : s + chunk], s + chunk >= len(document)) for s in starts]
        for a, b in zip([0, *(s + chunk for s in starts)], [*starts, len(document)], strict=True):
            train += [(i, p, last and b == len(document)) for i, p, last in _pieces(d, document[a:b])]
    return train, held, "chunk"


def _pieces(number: int, document: Any) -> list[Piece]:
    size = len(document)
    return [(number, document[s : s + PIECE], s + PIECE >= size) for s in range(0, size, PIECE)]


def drawn(
    pieces: list[AnyArray], documents: list[int], most: int, rng: np.random.Generator, notes: list[Note]
) -> tuple[list[AnyArray], list[int]]:
    """All pieces of token ids, or `most` tokens of them at random, which a note says; the document of each."""
    total = sum(map(len, pieces))
    if total > most:
        order = rng.permutation(len(pieces))
        pieces, documents = [pieces[i] for i in order], [documents[i] for i in order]
        text = f"Of {total:,} training tokens {most:,} were drawn in pieces. Raise max_tokens= for more."
        notes.append(Note("sampled", "info", text, {"tokens": total, "drawn": most}))
    kept = up_to(pieces, most)
    return kept, documents[: len(kept)]


def up_to(pieces: list[AnyArray], most: int) -> list[AnyArray]:
    """The first pieces, of `most` tokens together."""
    kept, total = [], 0
    for piece in pieces:
        if total >= most:
            break
        kept.append(piece[: most - total])
        total += len(kept[-1])
    return kept

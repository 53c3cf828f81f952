"""The result of sf.entropy_bounds: bounds, an estimate if there is one, and the models behind them."""

from __future__ import annotations

import math
import textwrap
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit._calls import explained
from scalefit._files import write_json
from scalefit._plain import plain
from scalefit._text import PAGE, percent
from scalefit.corpora.limits import Extrapolation
from scalefit.errors import Note, note_record

if TYPE_CHECKING:
    from scalefit.plots.corpora import EntropyFigure


@dataclass(frozen=True, slots=True)
class Bracket:
    """An entropy between two bounds [nat/token], if tokens further back than `context` + 1 carry no information."""

    estimate: float
    lower: float
    upper: float
    context: int


@explained
@dataclass(frozen=True, eq=False)
class EntropyBounds:
    """Bounds on the entropy of a corpus. Made by :func:`scalefit.entropy_bounds`.

    Attributes
    ----------
    table : DataFrame
        One row per model: ``model``, ``context`` [tokens], held-out ``loss`` and its error ``se`` [nat/token]; the
        entropy of the training part's own frequencies, ``in_sample``; and the limit of the loss with more text, if each
        doubling gains the same share of the last gain, ``limit``, with ``limit_error`` (the total further gain).
    upper : float
        Upper bound of the entropy [nat/token]: one-sided limit, at `level`, of the best model's held-out loss.
    upper_model : str
        The model behind `upper`.
    from_text : Bracket or None
        The entropy between two bounds, from the text alone; None where it is not determined.
    why_not : str
        Why `from_text` is None.
    extrapolation : Extrapolation or None
        Range of the limit of n-gram losses with more text and longer contexts, over several forms; not a bound.
    exact : float or None
        Entropy rate of the source [nat/token], if it is known.
    sizes : DataFrame
        Loss by training tokens (rows) and context (columns) [nat/token].
    level : float
        Coverage.
    bytes_per_token : float or None
        Bytes per token of the held-out part; None if the text is not known.
    tokenizer : str
        Tokenizer; entropies per token depend on it.
    n_train, n_heldout : int
        Tokens [tokens].
    corpus : str
        Name of the corpus.
    notes : tuple of Note
        What to know before you use the numbers.
    """

    table: pd.DataFrame
    upper: float
    upper_model: str
    from_text: Bracket | None
    why_not: str
    extrapolation: Extrapolation | None
    exact: float | None
    sizes: pd.DataFrame = field(repr=False)
    level: float
    bytes_per_token: float | None
    tokenizer: str
    n_train: int
    n_heldout: int
    corpus: str
    notes: tuple[Note, ...] = ()

    @property
    def estimate(self) -> float | None:
        """Entropy [nat/token]: exact if the source knows it, else from the text; None if not determined."""
        return self.exact if self.exact is not None else self.from_text.estimate if self.from_text else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Interval of the estimate at `level` [nat/token]; a point if it is exact, None if it is not determined."""
        if self.exact is not None:
            return self.exact, self.exact
        return None if self.from_text is None else (self.from_text.lower, self.from_text.upper)

    def bits_per_byte(self, loss: float) -> float:
        """A loss [nat/token] in bit/byte; NaN if the text behind the tokens is not known."""
        return loss / math.log(2) / self.bytes_per_token if self.bytes_per_token else math.nan

    @property
    def verdict(self) -> str:
        """The bounds in one or two sentences."""
        text = f"The entropy is at most {self._both(self.upper)} ({percent(self.level)}, by {self.upper_model})."
        if self.exact is not None:
            return f"{text} The source knows its entropy: {self._both(self.exact)}, exactly."
        if self.from_text is None:
            text = f"{text} How far below is not determined: {self.why_not}."
            far = self.extrapolation
            if far is None:
                return text
            return f"{text} n-gram losses extrapolate to {far.lower:.2g} to {far.upper:.4g} nat/token, by the form."
        b = self.from_text
        return (
            f"{text} It is {self._both(b.estimate)} [{b.lower:.4g}, {b.upper:.4g}] ({percent(self.level)}), if tokens "
            f"further back than {b.context + 1} carry no information, which no text can prove."
        )

    def _both(self, loss: float) -> str:
        bits = self.bits_per_byte(loss)
        return f"{loss:.4g} nat/token" + ("" if math.isnan(bits) else f", {bits:.4g} bit/byte")

    def figure(self) -> EntropyFigure:
        """The numbers of the figure."""
        from scalefit.plots.corpora import EntropyFigure

        rows = self.table[self.table["context"].notna()]
        return EntropyFigure(
            context=rows["context"].to_numpy(float),
            sizes=self.sizes.index.to_numpy(float),
            loss=self.sizes.to_numpy(float),
            in_sample=rows["in_sample"].to_numpy(float),
            upper=self.upper,
            interval=self.interval,
            title=self.corpus.split(":")[0],
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw loss and in-sample entropy over the context, with the bounds; returns the axes."""
        from scalefit.plots.corpora import draw_entropy

        return draw_entropy(self.figure(), ax=ax)

    def to_dict(self) -> dict[str, Any]:
        """Everything as a JSON-compatible dict; a number that is not finite becomes None."""
        text = None if self.from_text is None else {k: getattr(self.from_text, k) for k in Bracket.__slots__}
        return {
            "kind": "entropy_bounds",
            "corpus": self.corpus,
            "tokenizer": self.tokenizer,
            "unit": "nat/token",
            "level": self.level,
            "upper": self.upper,
            "upper_model": self.upper_model,
            "upper_bits_per_byte": plain(self.bits_per_byte(self.upper)),
            "estimate": self.estimate,
            "interval": None if self.interval is None else list(self.interval),
            "exact": self.exact,
            "from_text": text,
            "why_not": self.why_not or None,
            "extrapolation": None if (far := self.extrapolation) is None else asdict(far),
            "bytes_per_token": self.bytes_per_token,
            "n_train": self.n_train,
            "n_heldout": self.n_heldout,
            "verdict": self.verdict,
            "table": plain(self.table.to_dict("records")),
            "sizes": [{"tokens": int(size), "loss": list(map(float, row))} for size, row in self._rows()],
            "notes": [note_record(note) for note in self.notes],
        }

    def _rows(self) -> list[tuple[Any, Any]]:
        return list(zip(self.sizes.index, self.sizes.to_numpy(), strict=True))

    def to_json(self, path: str | Path | None = None) -> str:
        """The same as JSON text, written to `path` if given."""
        return write_json(self.to_dict(), path)

    def __str__(self) -> str:
        lines = textwrap.wrap(f"Entropy of {self.corpus}", PAGE, subsequent_indent="  ")
        lines += textwrap.wrap(self.verdict, PAGE, initial_indent="  ", subsequent_indent="  ")
        lines.append(f"  {'model':<34}{'loss':>8}{'se':>8}{'bit/byte':>10}{'in sample':>11}{'with more text':>17}")
        for row in self.table.to_dict("records"):
            limit = "-" if np.isnan(row["limit"]) else f"{row['limit']:.4f}±{row['limit_error']:.3f}"
            within = "-" if np.isnan(row["in_sample"]) else f"{row['in_sample']:.4f}"
            bits = self.bits_per_byte(row["loss"])
            text = "-" if math.isnan(bits) else f"{bits:.4f}"
            lines.append(f"  {row['model']:<34}{row['loss']:>8.4f}{row['se']:>8.4f}{text:>10}{within:>11}{limit:>17}")
        lines.append("  loss: held out [nat/token]; with more text: if each doubling brings the same share of the last")
        for note in self.notes:
            lines += textwrap.wrap(str(note), PAGE, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

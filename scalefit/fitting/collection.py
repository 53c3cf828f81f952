"""Several losses fitted from the same runs: one law each, with joint draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit import __version__
from scalefit._arguments import check_count
from scalefit._calls import explained
from scalefit._text import folded, shortlist, trust
from scalefit._typing import Array
from scalefit._warn import warn_user
from scalefit.errors import ArgumentError, FitError, Note, arg
from scalefit.fitting.bootstrap import MANY_FAILED, refits, resample_counts
from scalefit.fitting.result import FitResult
from scalefit.fitting.schema import to_json

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1


@explained
class Fits(Mapping[str, FitResult]):
    """Fits of several losses to the same runs, by the name of the loss; made by ``sf.fit(..., loss=[...])``.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> rng = np.random.default_rng(0)
    >>> web = rng.uniform(0, 1, 20)
    >>> runs = {"share_web": web, "share_code": 1 - web}
    >>> runs |= {"loss_web": 2 + np.exp(-2 * web), "loss_code": 1 + np.exp(1.5 * web)}
    >>> fits = sf.fit(runs, "data_mixing", loss=["loss_web", "loss_code"])
    >>> fits.predict(r={"web": 0.5, "code": 0.5}).round(3).to_dict("records")
    [{'loss_web': 2.368, 'loss_code': 3.117}]
    """

    def __init__(self, results: Mapping[str, FitResult]) -> None:
        self._results = dict(results)

    def __getitem__(self, name: str) -> FitResult:
        return self._results[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    @property
    def trusted(self) -> bool:
        """Whether all of them can be trusted."""
        return all(result.trusted for result in self.values())

    @property
    def params(self) -> pd.DataFrame:
        """Parameters in natural units, one row per loss."""
        import pandas as pd

        return pd.DataFrame({name: result.params for name, result in self.items()}).T

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """What to know before you use the numbers, with the losses that each note is about."""
        stated: dict[tuple[str, str], list[str]] = {}
        found: dict[tuple[str, str], Note] = {}
        for name, result in self.items():
            for note in result.notes:
                key = (note.code, note.message)
                stated.setdefault(key, []).append(name)
                found[key] = note
        return tuple(
            Note(note.code, note.severity, note.template, {**note.details, "losses": stated[key]})
            for key, note in found.items()
        )

    @property
    def spread(self) -> pd.Series[float]:
        """Scatter of the runs about each law: root mean square residual, corrected for the fitted parameters."""
        import pandas as pd

        return pd.Series({name: _spread(result) for name, result in self.items()}, name="spread")

    def predict(self, **inputs: Any) -> pd.DataFrame:
        """Every loss at the given inputs: one row per point, one column per loss."""
        import pandas as pd

        return pd.DataFrame({name: np.atleast_1d(result.predict(**inputs)) for name, result in self.items()})

    def draws(self, n: int = 500, seed: int = 0) -> dict[str, pd.DataFrame]:
        """Draws of every law's parameters, in natural units; row k of each table belongs to row k of the others.

        A run whose losses are all high moves all the laws, so the errors of the laws are correlated. Each draw
        refits every law to the same resample of the runs; ``attrs["failed"]`` counts the refits that did not converge,
        which are kept as they ended.
        """
        import pandas as pd

        found, drawn = {}, joint_draws(self, check_count("n", n), check_count("seed", seed, least=0))
        for note in failure_notes(drawn):
            warn_user(note.template)
        for name, (x, failed) in drawn.items():
            natural = self[name].natural(x)
            found[name] = pd.DataFrame({key: np.broadcast_to(value, (len(x),)) for key, value in natural.items()})
            found[name].attrs["failed"] = failed
        return found

    def to_dict(self) -> dict[str, Any]:
        """All of them as a JSON-compatible dict."""
        results = {name: result.to_dict() for name, result in self.items()}
        return {"kind": "fits", "format": FORMAT, "scalefit": __version__, "results": results}

    def to_json(self, path: str | Path | None = None) -> str:
        """Write them as JSON (and to `path` if given); :func:`scalefit.load_result` reads them back."""
        return to_json(self.to_dict(), path)

    def __str__(self) -> str:
        first = next(iter(self.values()))
        law = first.law.name.split(":")[0]
        bad = [name for name, result in self.items() if not result.trusted]
        count = sum(note.severity == "warning" for note in self.notes)
        lines = [f"TRUST: {trust(not bad, count, shortlist(bad, 5) and f'not the fits of {shortlist(bad, 5)}')}"]
        lines += [f"{len(self)} losses by {law}, {first.law.formula}, {first.n_runs} runs each", ""]
        width = max(len(name) for name in self)
        lines.append(f"{'loss'.ljust(width)}  typical miss  at a bound")
        for name, result in self.items():
            at_bound = ", ".join(result.certificate.at_bound[:4]) or "-"
            more = len(result.certificate.at_bound) - 4
            at_bound += f" and {more} more" if more > 0 else ""
            lines.append(f"{name.ljust(width)}  {_spread(result):>12.4f}  {at_bound}")
        severe = [note for note in self.notes if note.severity == "error"]
        lines += ["", *(f"{note} ({', '.join(note.details['losses'][:4])})" for note in severe)] if severe else []
        warned = [f"{n.code} ({shortlist(n.details['losses'], 4)})" for n in self.notes if n.severity == "warning"]
        lines += ["", folded(f"Warnings, in full in .notes: {shortlist(warned)}")] if warned else []
        return "\n".join(lines)

    __repr__ = __str__


def _spread(result: FitResult) -> float:
    """Scatter of runs about the law, on the scale of its residuals."""
    left = max(result.n_runs - result.n_free, 1)
    return float(np.sqrt((result.residuals**2).sum() / left))


def loss_columns(runs: Any, given: Any) -> list[str]:
    """Columns of losses, named one by one or by a pattern."""
    from scalefit.tables.shares import columns_of, matching

    if isinstance(given, str) and not set("*,") & set(given):
        return [given]  # whether it is there, the reader of the table says
    found = matching(given, columns_of(runs), "loss")
    if not found:
        raise ArgumentError(f"{arg('loss', [])} names no column", "nothing was fitted", "Name one or more")
    return found


def fit_each(names: Sequence[str], make: Callable[[str], Any], by: str | None) -> Fits:
    """Fit the law to every loss; one that it cannot be fitted to is named.

    Raises
    ------
    FitError
        A loss does not allow the law.
    """
    if by == "series":
        raise ArgumentError(
            f"{arg('by', 'series')} and several losses were both asked for",
            "nothing was fitted",
            "Fit one loss by series, or the losses of one series",
        )
    results: dict[str, FitResult] = {}
    for name in names:
        try:
            results[name] = make(name)
        except FitError as error:
            raise error.about(f"loss {name!r}") from None
    return Fits(results)


def joint_draws(
    fits: Mapping[str, FitResult], n: int, seed: int, progress: Callable[[int, int], None] | None = None
) -> dict[str, tuple[Array, int]]:
    """Free vectors (n, p) of every fit, refitted to the same resamples of the runs, and how many did not converge."""
    labels: dict[Any, int] = {}
    for result in fits.values():
        if len(result.problem.groups) > 1 or result.tangent is not None:
            raise ArgumentError(
                f"Fits with {arg('by', 'shared')} or with expressions have no joint draws",
                "nothing was drawn",
                "Fit without",
            )
        for label in result.row_labels.tolist():
            labels.setdefault(label, len(labels))
    counts, found = resample_counts(len(labels), n, seed), {}
    for k, (name, result) in enumerate(fits.items()):
        own = counts[:, [labels[label] for label in result.row_labels.tolist()]]
        found[name] = refits(result, own)
        if progress is not None:
            progress(n * (k + 1), n * len(fits))
    return found


def failure_notes(drawn: Mapping[str, tuple[Array, int]]) -> list[Note]:
    """Say of which losses more than a few refits did not converge."""
    many = {name: failed for name, (x, failed) in drawn.items() if failed > MANY_FAILED * len(x)}
    if not many:
        return []
    n = len(next(iter(drawn.values()))[0])
    text = (
        f"Of {n} resamples, many did not converge for {shortlist(f'{name!r} ({k})' for name, k in many.items())}; they "
        "are in the draws as they ended. More runs make such resamples rare."
    )
    return [Note("bootstrap_failures", "warning", text, {"failed": many, "n": n})]

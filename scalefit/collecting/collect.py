"""``collect``: one row per finished run, from the files of trackers and trainers."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from scalefit._arguments import check_mapping, one_of, parse_quantity
from scalefit._calls import explained
from scalefit._text import known, shortlist
from scalefit.collecting import discovery, final_loss, recipes, sizes
from scalefit.collecting.records import Run, number
from scalefit.errors import ArgumentError, DataError, Note, arg, note_record, way
from scalefit.flops import training_flops
from scalefit.integrations._log_columns import plain

_LISTED = 8  # runs that a note names
_NOT_LOGGED = "not logged"


@explained
def collect(
    paths: str | Path | Iterable[str | Path],
    *,
    N: str | float | Mapping[str, float] | None = None,
    D: str | float | Mapping[str, float] | None = None,
    loss: str | None = None,
    columns: Mapping[str, Any] | None = None,
    final: Literal["last", "mean", "best"] | None = None,
    k: int | None = None,
    batch_tokens: str | float | None = None,
    config: Mapping[str, Any] | None = None,
    unfinished: Literal["leave_out", "keep"] = "leave_out",
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    r"""Collect finished runs into one table.

    It reads W&B run folders (offline or synchronised; without wandb) and exported CSVs, wide or long, MLflow's folder
    and SQLite stores, TensorBoard event files (one run per folder), output folders of the Hugging Face Trainer,
    Lightning's ``version_*``, tables of runs such as nanochat's ``results.csv``, and scalefit's own store. Nothing
    pickled is opened.

    Parameters
    ----------
    paths : path or iterable of paths
        Folders, searched recursively, or files.
    N, D : str, number or mapping, optional
        Parameters [parameters] and training tokens [tokens]: the name of a setting or logged quantity, a number for
        every run, or a number for each run by its name. By default what was logged; else N is counted from the
        settings, and D is steps times batch times context.
    loss : str, optional
        The logged quantity that is the loss; by default the validation loss by its usual names, else the training loss.
    columns : mapping, optional
        N, D and loss by name, ``columns={"loss": "test_loss__c4"}``, as in the functions that read tables.
    final : {"last", "mean", "best"}, optional
        How the final loss is computed: the last value, the mean of the last `k`, or the smallest one (with the D of
        that step). By default the last validation loss, or the mean of the last tenth of a training loss.
    k : int, optional
        Values in the mean; by default a tenth of them (at least ten where that is at most half, at most 200).
    batch_tokens : str or number, optional
        Tokens per optimizer step [tokens]; D is then the steps times that.
    config : mapping, optional
        Settings of every run that are not in its files, such as ``{"vocab_size": 50304, "block_size":
        1024}``; settings in a run's own files take precedence.
    unfinished : {"leave_out", "keep"}
        Whether runs that crashed, diverged or did not reach their end get a row; a note names them in any case.
    progress : callable, optional
        Called with (done, total) places read.

    Returns
    -------
    DataFrame
        Columns run, N [parameters], D [tokens], C [FLOP] (6ND unless the source states it), loss, loss_se, loss_unit,
        loss_from (how the loss was taken), loss_column, status, seed, steps, seconds [s], the settings that differ
        between the runs or belong to a usual recipe, and store and source. What is unknown is NaN.
        ``loss_se`` is the scatter of the last value, estimated from those before it about a parabola in the logarithm
        of the step, or the standard error of a mean about a line, corrected for correlation; it does not include the
        variation between seeds.
        ``attrs["notes"]`` holds every choice with the number of runs, and names the runs that were left out.

    Raises
    ------
    DataError
        Nothing readable, no finished run, or several quantities that could be the loss.
    ArgumentError
        An argument is not allowed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "results.csv").write_text("depth,params_total,tokens_trained,val_bpb\n4,37e6,4e8,1.1\n")
    >>> table = collect(folder)
    >>> table[["N", "D", "loss", "loss_unit"]].values.tolist()
    [[37000000.0, 400000000.0, 1.1, 'bit/byte']]
    """
    roots = _roots(paths)
    N, D, loss = _named(columns, N=N, D=D, loss=loss)
    options = _Options(N, D, loss, final, k, batch_tokens, config, unfinished)
    places = [place for root in roots for place in discovery.find(root, options.columns)]
    listed = ", ".join(str(root) for root in roots)
    if not places:
        raise DataError(f"{listed}: no runs of a known store were found", "no table was made", "Name another folder")
    tallies = _Tallies()
    rows = []
    n_runs = 0
    for done, (path, read) in enumerate(places):
        if progress is not None:
            progress(done, len(places))
        try:
            runs = read()
        except (DataError, OSError, UnicodeError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, DataError) and len(places) == 1:
                raise  # nothing else to collect: what to do about it is the answer
            tallies.left_out("unreadable", str(path), " ".join(str(error).split())[:300])
            continue
        for run in runs:
            n_runs += 1
            row = _row(run, options, tallies)
            if row is not None:
                rows.append(row)
    if progress is not None:
        progress(len(places), len(places))
    notes = tallies.notes(n_runs)
    if not rows:
        why = " ".join(note.template for note in notes if note.severity == "warning") or (
            f"A table needs a loss and N, D or C: name its columns with {arg('loss')}, {arg('N')} and {arg('D')}"
        )
        raise DataError(f"{listed}: no finished run with a loss among {n_runs}", "no table was made", why)
    table = recipes.table_of(rows)
    notes += [*_mixed(table), *_copies(table)]
    table.attrs["notes"] = [note_record(note) for note in notes]
    return table


def _named(columns: Mapping[str, Any] | None, **given: Any) -> tuple[Any, ...]:
    """N, D and loss, each named once: by its own argument, or in `columns`."""
    for name, choice in check_mapping("columns", columns, "{'loss': 'eval/loss'}").items():
        if not one_of(name, given):
            raise ArgumentError(f"{arg('columns', {name: choice})}", "nothing was collected", known(name, given))
        if given[name] is not None and given[name] != choice:
            raise ArgumentError(
                f"{arg(name, given[name])} and {arg('columns', {name: choice})} differ",
                "nothing was collected",
                "Leave one out",
            )
        given[name] = choice
    return tuple(given.values())


class _Options:
    """What the caller chose, checked."""

    def __init__(
        self, N: Any, D: Any, loss: Any, final: Any, k: Any, batch_tokens: Any, config: Any, unfinished: Any
    ) -> None:
        self.N, self.D = _quantity("N", N), _quantity("D", D)
        for name, value, ways in (("final", final, final_loss.WAYS), ("unfinished", unfinished, _UNFINISHED)):
            if value is not None and not one_of(value, ways):
                raise ArgumentError(f"{arg(name, value)}", "nothing was collected", known(value, ways))
        if loss is not None and not isinstance(loss, str):
            raise ArgumentError(f"{arg('loss', loss)} names no quantity", "nothing was collected", "Give its name")
        if k is not None and (isinstance(k, bool) or not isinstance(k, int) or k < 1):
            raise ArgumentError(f"{arg('k', k)}", "nothing was collected", "Give a whole number of at least 1")
        if k is not None and final not in (None, "mean"):
            raise ArgumentError(
                f"{arg('k', k)} goes with {arg('final', 'mean')}, not {final!r}",
                "nothing was collected",
                "Leave one out",
            )
        if config is not None and not isinstance(config, Mapping):
            raise ArgumentError(
                f"{arg('config', config)} is not a mapping", "nothing was collected", "Give names and values"
            )
        self.loss, self.final, self.k, self.unfinished = loss, "mean" if k is not None else final, k, unfinished
        batch = _quantity("batch_tokens", batch_tokens)
        if isinstance(batch, (str, Mapping)):
            raise ArgumentError(
                f"{arg('batch_tokens', batch_tokens)} is not a number", "nothing was collected", "Give tokens"
            )
        self.batch_tokens = batch
        self.config = dict(config or {})
        self.columns = {"N": N if isinstance(N, str) else None, "D": D if isinstance(D, str) else None}
        self.columns |= {"C": None, "loss": loss}


_UNFINISHED = ("leave_out", "keep")


def _quantity(name: str, asked: Any) -> sizes.Asked:
    """A number, typed or written as 7B; a name; a mapping."""
    if asked is None or isinstance(asked, Mapping):
        return asked
    if isinstance(asked, str):
        try:
            return parse_quantity(asked)
        except ArgumentError:
            return asked
    if isinstance(asked, bool) or not isinstance(asked, (int, float)) or not 0 < asked < math.inf:
        raise ArgumentError(f"{arg(name, asked)}", "nothing was collected", "Give a positive number, or a name")
    return float(asked)


def _roots(paths: Any) -> list[Path]:
    given = [paths] if isinstance(paths, (str, Path)) else list(paths) if isinstance(paths, Iterable) else [paths]
    roots = []
    for item in given:
        if not isinstance(item, (str, Path)):
            raise ArgumentError(f"{arg('paths', item)} is not a path", "nothing was collected", "Give folders or files")
        path = Path(item)
        if not path.exists():
            raise DataError(f"There is no folder or file {path}", "nothing was collected", "Check the path")
        roots.append(path)
    if not roots:
        raise ArgumentError(f"{arg('paths', [])} names no folder", "nothing was collected", "Give one")
    return roots


class _Tallies:
    """Choices by what was chosen, and runs that have no row by why."""

    def __init__(self) -> None:
        self.choices: dict[str, Counter[str]] = defaultdict(Counter)
        self.doubtful: set[tuple[str, str]] = set()
        self.without: dict[str, list[tuple[str, str]]] = defaultdict(list)

    def chose(self, what: str, how: str, doubtful: bool = False) -> None:
        self.choices[what][how] += 1
        if doubtful:
            self.doubtful.add((what, how))

    def left_out(self, why: str, run: str, detail: str = "") -> None:
        self.without[why].append((run, detail))

    def notes(self, n_runs: int) -> list[Note]:
        """Every choice, then every run that has no row or an incomplete one."""
        found = []
        for what, counted in self.choices.items():
            for how, count in counted.most_common():
                unsure = (what, how) in self.doubtful
                message = f"{what} of {count} of {n_runs} runs: {how}. {_OVERRULE[what]}"
                found.append(Note(what, "warning" if unsure else "info", message, {"how": how, "n_runs": count}))
        for why, runs in self.without.items():
            names = ", ".join(name + (f" ({detail})" if detail else "") for name, detail in runs[:_LISTED])
            more = f" and {len(runs) - _LISTED} more" if len(runs) > _LISTED else ""
            every = [name for name, _ in runs]
            text = f"{len(runs)} {_WHY[why]}: {names}{more}. {_DONE[why]}"
            found.append(Note(why, "info" if why == "probe" else "warning", text, {"runs": every}))
        return found


_OVERRULE = {
    "loss": f"Override with {arg('loss')}, {arg('final')} and {arg('k')}.",
    "N": f"Override with {arg('N')} or {arg('config')}.",
    "D": f"Override with {arg('D')}, {arg('batch_tokens')} or {arg('config')}.",
    "status": "Check that they ran to their end.",
}
_WHY = {
    "unfinished": "unfinished or crashed",
    "diverged": "ended in a loss that is not finite",
    "no_loss": "without a loss",
    "unreadable": "not readable",
    "probe": "learning-rate probes",
}
_KEEP = way("unfinished='keep'", "--keep-unfinished")
_KEPT = f"They are left out; {_KEEP} gives them a row."
_DONE = {
    "unfinished": _KEPT,
    "diverged": _KEPT,
    "no_loss": f"They are left out. Name the loss with {arg('loss')} where it is there.",
    "unreadable": "They are left out.",
    "probe": "They are not points of a sweep and are left out.",
}


def _row(run: Run, options: _Options, tallies: _Tallies) -> dict[str, Any] | None:
    """One row, or None for a run that has none; what was chosen is counted."""
    run.config = {**{key: value for key, value in options.config.items() if key not in run.config}, **run.config}
    label = run.name if run.name in run.source else f"{run.name} ({run.source})"
    if run.ready.get("kind") == "lr_probe":
        tallies.left_out("probe", label)
        return None
    final = _final(run, options)
    if final is None:
        tallies.left_out("unfinished" if run.status in ("unfinished", "crashed") else "no_loss", label, run.status)
        return None
    status = run.status
    if not status:
        planned, reached = sizes.total_steps(run), sizes.last_step(run)
        if planned is not None and reached is not None and run.kind != "table":
            status = "finished" if reached >= 0.98 * planned - 1 else "unfinished"
            how = "judged by the steps planned in the settings"
        else:
            status, how = "finished", "not logged, taken as finished"
        tallies.chose("status", how, doubtful=how.startswith("not"))
    ended = [float(v[-1]) for name, (_, v) in run.series.items() if name == final.column and len(v)] or [final.loss]
    if status == "finished" and not (math.isfinite(final.loss) and math.isfinite(ended[0])):
        status = "diverged"
    if status != "finished":
        tallies.left_out("diverged" if status in ("diverged", "nan") else "unfinished", label, status)
        if options.unfinished == "leave_out":
            return None
    way = f"{final.way} of {final.column} [{final.unit}]" + (f"; {final.remark}" if final.remark else "")
    if final.way != "table":
        tallies.chose("loss", way, doubtful=not final.is_validation)
    N = sizes.find_N(run, options.N)
    D = sizes.find_D(run, options.D, options.batch_tokens, final.step)
    for what, size in (("N", N), ("D", D)):
        if size.how != "the table":
            tallies.chose(what, size.how, doubtful=size.derived or math.isnan(size.value))
    compute = number(run.ready.get("C"))
    if compute is None:
        compute = float(training_flops(N.value, D.value)) if N.value * D.value > 0 else math.nan
    steps = sizes.last_step(run)
    return {
        "run": run.name, "N": N.value, "D": D.value, "C": compute,
        "loss": final.loss, "loss_se": final.error, "loss_unit": final.unit, "loss_from": final.way,
        "loss_column": final.column, "status": status, "seed": recipes.seed(run),
        "steps": math.nan if steps is None else steps, "seconds": run.seconds,
        "settings": recipes.settings(run), "store": run.kind, "source": run.source,
    }  # fmt: skip


def _final(run: Run, options: _Options) -> final_loss.Final | None:
    """The final loss, as the store tells it or from the curve."""
    told = number(run.ready.get("loss"))
    if "loss_from" in run.ready:
        error = number(run.ready.get("loss_se"))
        unit, column = str(run.ready["loss_unit"]), str(run.ready["loss_column"])
        if told is None and run.kind == "table":
            return None
        value = math.nan if told is None else told
        return final_loss.Final(value, math.nan if error is None else error, unit, column, "table", math.nan, True)
    return final_loss.find(run, options.loss, options.final, options.k)


def _copies(table: pd.DataFrame) -> list[Note]:
    """Runs whose size, tokens, steps and loss are the same to the last digit: a copied folder counts twice in a fit."""
    known = table.dropna(subset=["loss"])
    again = known[known["loss_from"] != "table"].duplicated(
        ["N", "D", "steps", "loss", "seconds", "seed"], keep="first"
    )
    names = [str(name) for name in known.loc[again[again].index, "run"]]
    if not names:
        return []
    text = (
        f"{len(names)} end in the same loss at the same size as another run, as copies do: {shortlist(names, _LISTED)}."
    )
    return [Note("copies", "warning", f"{text} Leave out what is there twice.", {"runs": names})]


def _mixed(table: pd.DataFrame) -> list[Note]:
    """Warn of losses that cannot be compared."""
    found = []
    for column, what in (("loss_unit", "units"), ("loss_column", "quantities")):
        values = sorted(map(str, table[column].unique()))
        if len({plain(value) for value in values}) > 1:  # val/loss is val_loss
            text = (
                f"The losses are of several {what} ({', '.join(values[:_LISTED])}), each row by its column {column}; "
                f"they were left as they are. Fit one kind at a time, or choose with {arg('loss')}."
            )
            found.append(Note("mixed_losses", "warning", text, {"values": values}))
    return found

"""Data sets: tables that come with scalefit, and third-party ones that it knows where to find.

A bundled table is a folder with ``runs.csv`` (or ``runs.csv.gz``) and ``SOURCE.md``; it is found by being there. A
third-party table is never copied into the package: its address, licence and sha256 are listed here, and it is
downloaded when `load_dataset` asks for it, unless ``SCALEFIT_DATA_DIR`` holds it already.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from scalefit._arguments import one_of
from scalefit._calls import explained
from scalefit._text import known
from scalefit.errors import ArgumentError, DataError, Note, arg, note_record
from scalefit.tables.runs import read_runs


@dataclass(frozen=True, slots=True)
class Download:
    """A third-party table: where it is, what it must be, and how it is read.

    Parameters
    ----------
    title, licence, source : str
        What it is, under which terms, from which paper or repository.
    addresses : tuple of str
        Where to look, in turn; the same sha256 is demanded of each.
    file : str
        Its name, also below ``SCALEFIT_DATA_DIR/<name of the data set>/``.
    sha256 : str
        Of the file as its authors published it.
    n_rows : int
        Rows in the file.
    columns : mapping
        Arguments for `read_runs`.
    authors_drop_highest : int
        How many of the highest losses its authors leave out of their fits.
    """

    title: str
    licence: str
    source: str
    addresses: tuple[str, ...]
    file: str
    sha256: str
    n_rows: int
    columns: Mapping[str, Any]
    authors_drop_highest: int = 0


_GITHUB = "https://raw.githubusercontent.com"
DOWNLOADS = {
    "chinchilla_epoch": Download(
        title="Points of figure 4 of Hoffmann et al. (2022), reconstructed by Besiroglu et al. (2024)",
        licence="none stated",
        source="arXiv:2404.10102; github.com/epoch-research/analyzing-chinchilla at 9225883",
        addresses=(
            f"{_GITHUB}/epoch-research/analyzing-chinchilla/9225883/data/svg_extracted_data.csv",
            f"{_GITHUB}/epoch-research/analyzing-chinchilla/HEAD/data/svg_extracted_data.csv",
        ),
        file="svg_extracted_data.csv",
        sha256="193478df4e90f040016431996c45682659306840ecdadf83cfb9cd5ca0aa1b30",
        n_rows=245,
        columns={"N": "Model Size", "C": "Training FLOP", "loss": "loss"},
        authors_drop_highest=5,
    ),
    "chinchilla_filtered": Download(
        title="The same points, filtered by the authors of the package chinchilla",
        licence="Apache-2.0",
        source="github.com/kyo-takano/chinchilla at 75e5858",
        addresses=(
            f"{_GITHUB}/kyo-takano/chinchilla/75e5858/examples/llm/df.csv",
            f"{_GITHUB}/kyo-takano/chinchilla/HEAD/examples/llm/df.csv",
        ),
        file="df.csv",
        sha256="2ed2c412c6b408cb26896b92c0721fe9afa6515726b0db78c33db37cbf2816f9",
        n_rows=234,
        columns={"N": "N", "D": "D", "C": "C", "loss": "loss"},
    ),
}


@explained
def list_datasets() -> pd.DataFrame:
    """List the tables that `load_dataset` knows; nothing is downloaded.

    Returns
    -------
    DataFrame, indexed by name
        ``title``, ``rows``, ``licence``, ``source``, and ``where``: ``"bundled"``, ``"local"`` (found below
        ``SCALEFIT_DATA_DIR`` or downloaded before) or ``"download"``.

    Examples
    --------
    >>> list_datasets().loc["niu2024_table2", "where"]
    'bundled'
    """
    records = {}
    for folder in _bundled_folders():
        title, licence = _read_source(folder)
        records[folder.name] = (title, _count_rows(_runs_file(folder)), licence, "SOURCE.md", "bundled")
    for name, entry in DOWNLOADS.items():
        where = "local" if _local_file(name, entry) else "download"
        records[name] = (entry.title, entry.n_rows, entry.licence, entry.source, where)
    table = pd.DataFrame.from_dict(records, orient="index", columns=["title", "rows", "licence", "source", "where"])
    return table.rename_axis("name").sort_index()


@explained
def load_dataset(name: str, *, drop: Literal["authors", "doubtful"] | None = None) -> pd.DataFrame:
    """Load a table of runs by name.

    Parameters
    ----------
    name : str
        One of `list_datasets`. A third-party table is looked for below ``SCALEFIT_DATA_DIR`` and in the cache,
        then downloaded; its sha256 is checked each time.
    drop : {"authors", "doubtful"}, optional
        ``"authors"`` leaves out the rows that the table's authors leave out of their fits; ``"doubtful"`` those with
        a remark in the column ``doubt``. Both are listed among the rows set aside.

    Returns
    -------
    DataFrame
        As from `read_runs`: N [parameters], D [tokens], C [FLOP], loss [nat/token] and the rest, every row.

    Raises
    ------
    ArgumentError
        There is no data set of this name, or no row to drop for this reason.
    DataError
        The download failed, or the sha256 of a file differs from the listed one.

    Examples
    --------
    >>> runs = load_dataset("reported_losses", drop="doubtful")
    >>> runs[runs["series"] == "cerebras-gpt"]["loss"].tolist()
    [2.608, 2.349, 2.181, 1.997, 1.834, 1.704, 1.572]
    """
    bundled = {folder.name: folder for folder in _bundled_folders()}
    if not one_of(drop, (None, "authors", "doubtful")):  # refused before anything is downloaded
        raise ArgumentError(
            f"{arg('drop', drop)} is not a known reason",
            "nothing was dropped",
            known(drop, (None, "authors", "doubtful")),
        )
    name = name if isinstance(name, str) else f"{name!r:.80}"  # which is not a data set, and is refused below
    if name in bundled:
        runs = read_runs(_runs_file(bundled[name]), incomplete="keep", **_conventions(bundled[name]))
    elif name in DOWNLOADS:
        entry = DOWNLOADS[name]
        path = _local_file(name, entry) or _download(name, entry)
        runs = read_runs(path, incomplete="keep", **entry.columns)
    else:
        holder = next((key for key, folder in bundled.items() if name in _series_of(folder)), None)
        raise ArgumentError(
            f"There is no data set {name!r}",
            "nothing was loaded",
            known(name, sorted({*bundled, *DOWNLOADS}))
            if holder is None
            else f"{name!r} is a series of {holder}: load that, and keep the rows of the series",
        )
    runs.attrs["scalefit"]["source"] = name
    if drop is not None:
        runs = _drop(runs, name, drop)
    return runs


def _drop(runs: pd.DataFrame, name: str, reason: str) -> pd.DataFrame:
    stated = runs.attrs["scalefit"]
    highest = DOWNLOADS[name].authors_drop_highest if name in DOWNLOADS else 0
    if reason == "authors" and highest:
        out = runs["loss"].rank(ascending=False, method="first") <= highest
        why = f"one of the {highest} highest losses, which the authors leave out"
    elif reason == "doubtful" and "doubt" in runs:
        out = runs["doubt"].notna()
        why = "doubtful: see the column doubt"
    else:
        raise ArgumentError(
            f"{arg('drop', reason)} does not apply to {name}",
            "nothing was dropped",
            "Choose 'authors' for tables whose authors drop rows, 'doubtful' for tables with a column doubt",
        )
    kept = runs[~out].copy()
    rows = [int(row) for row in runs.index[out]]
    message = f"{len(rows)} of {len(runs)} rows were left out because of {arg('drop', reason)}."
    note = Note("dropped", "info", message, {"rows": rows})
    kept.attrs["scalefit"] = {
        **stated,
        "n_set_aside": stated["n_set_aside"] + len(rows),
        "set_aside": [*stated["set_aside"], *({"row": row, "reason": why} for row in rows)],
        "notes": [*stated["notes"], note_record(note)],
    }
    return kept


def _bundled_root() -> Path:
    """Return the folder of bundled tables: inside the wheel, or at the top of the source tree."""
    package = Path(__file__).parent
    return package / "_data" if (package / "_data").is_dir() else package.parent / "data"


def _bundled_folders() -> list[Path]:
    root = _bundled_root()
    folders = sorted(root.iterdir()) if root.is_dir() else []
    return [folder for folder in folders if (folder / "SOURCE.md").is_file() and _runs_file(folder).is_file()]


def _runs_file(folder: Path) -> Path:
    plain = folder / "runs.csv"
    return plain if plain.is_file() else folder / "runs.csv.gz"


def _series_of(folder: Path) -> set[str]:
    runs = pd.read_csv(_runs_file(folder), usecols=lambda column: column == "series")
    return {str(label) for column in runs for label in runs[column].unique()}


def _read_source(folder: Path) -> tuple[str, str]:
    text = (folder / "SOURCE.md").read_text(encoding="utf-8")
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    licence = re.search(r"^- Licence: (.+)$", text, re.MULTILINE)
    return title[1] if title else folder.name, licence[1] if licence else "see SOURCE.md"


def _conventions(folder: Path) -> dict[str, Any]:
    """Read the arguments for `read_runs` that a table needs where its conventions are not the usual ones."""
    file = folder / "conventions.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def _count_rows(path: Path) -> int:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        return sum(1 for line in csv.reader(lines) if line) - 1


def _local_file(name: str, entry: Download) -> Path | None:
    """Return the file where it is here already: the named data folder first, then the cache."""
    folder = os.environ.get("SCALEFIT_DATA_DIR")
    if folder and (path := Path(folder) / name / entry.file).is_file():
        if _sha256(path) != entry.sha256:
            raise DataError(
                f"{path} is not the file that {name} names: its sha256 is {_sha256(path)[:12]}..., not "
                f"{entry.sha256[:12]}...",
                "it was not loaded",
                "Remove it to download the right one",
            )
        return path
    path = _cache() / name / entry.file
    return path if path.is_file() and _sha256(path) == entry.sha256 else None


def _cache() -> Path:
    import pooch

    return Path(os.environ.get("SCALEFIT_CACHE_DIR") or pooch.os_cache("scalefit"))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _download(name: str, entry: Download) -> Path:
    import pooch
    import requests

    failures = []
    for address in entry.addresses:
        try:
            return Path(pooch.retrieve(address, f"sha256:{entry.sha256}", fname=entry.file, path=_cache() / name))
        except requests.HTTPError as error:
            failures.append(f"the server answered {getattr(error.response, 'status_code', error)}")
        except requests.Timeout:
            failures.append("the server did not answer in time")
        except requests.RequestException as error:
            failures.append(f"the connection failed ({type(error).__name__})")
        except ValueError:
            failures.append(f"the file that came is not the one listed (sha256 {entry.sha256[:12]}...)")
        except OSError as error:
            failures.append(f"it could not be saved ({error.strerror or error})")
    raise DataError(
        f"{name}: {'; then '.join(dict.fromkeys(failures))}",
        "it was not loaded",
        f"The address is {entry.addresses[0]}. Download it yourself into SCALEFIT_DATA_DIR/{name}/{entry.file}, or try "
        "again",
    )

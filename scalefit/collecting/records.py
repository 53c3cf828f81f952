"""A run as its files describe it, whatever wrote them, and small readers that several stores share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scalefit._files import read_text
from scalefit._typing import Array
from scalefit.errors import DataError, require

#: Most bytes of a settings file; a larger one holds something else.
_SETTINGS_BYTES = 1 << 24
_LONGEST_TEXT = 200  # characters of a setting that become a cell


@dataclass
class Run:
    """One run.

    Attributes
    ----------
    name, source, kind : str
        Its name in the tracker, where it was found, and what wrote it.
    config : dict
        Settings, flat: nested names are joined by points.
    series : dict of str to (steps, values)
        What was logged over the steps, in the order of logging.
    summary : dict
        Single values that the tracker keeps of a run.
    status : str
        ``finished``, ``crashed``, ``unfinished``; empty if the store does not state it.
    seconds : float, optional
        Wall time [s].
    ready : dict
        Columns that the store holds ready, such as N of a table of runs.
    """

    name: str
    source: str
    kind: str
    config: dict[str, Any] = field(default_factory=dict)
    series: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    status: str = ""
    seconds: float | None = None
    ready: dict[str, Any] = field(default_factory=dict)


def flat(nested: Mapping[Any, Any], before: str = "", depth: int = 0) -> dict[str, Any]:
    """Scalars of nested settings by their joined names; lists and long texts are left out.

    Examples
    --------
    >>> flat({"model": {"n_layer": 2, "heads": [1, 2]}, "lr": 0.001})
    {'model.n_layer': 2, 'lr': 0.001}
    """
    found: dict[str, Any] = {}
    for key, value in nested.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            if depth < 8:
                found.update(flat(value, f"{name}.", depth + 1))
        elif isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= _LONGEST_TEXT):
            found[name] = value
    return found


def scalar(text: Any) -> Any:
    """A setting that was kept as text: a number, a truth value, or the text itself.

    Examples
    --------
    >>> scalar("1e-3"), scalar("12"), scalar("True"), scalar("adamw")
    (0.001, 12, True, 'adamw')
    """
    if not isinstance(text, str):
        return text
    plain = text.strip()
    if plain.lower() in ("true", "false"):
        return plain.lower() == "true"
    for kind in (int, float):
        try:
            return kind(plain)
        except ValueError:
            continue
    return text


def number(value: Any) -> float | None:
    """A finite number, typed or as text; None for anything else."""
    value = scalar(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < 1e300 else None


def logged(points: Iterable[tuple[Any, Any]]) -> tuple[Array, Array]:
    """Steps and values in the order logged; where the steps go back, what had been logged after that is dropped."""
    pairs = [(float(step), float(value)) for step, value in points if step is not None]
    steps = np.array([step for step, _ in pairs])
    values = np.array([value for _, value in pairs])
    if len(steps) > 1:
        later = np.append(np.minimum.accumulate(steps[::-1])[::-1][1:], np.inf)
        keep = steps < later
        steps, values = steps[keep], values[keep]
    return steps, values


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    DataError
        It is not a JSON object.
    """
    try:
        found = json.loads(read_text(path, _SETTINGS_BYTES * 4))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split()):.200}", "it was not read", "Check the file") from None
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no JSON object", "it was not read", "Check the file")
    return found


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the settings in a YAML file; a tag that names a Python object is never obeyed, its content is plain data.

    Raises
    ------
    DataError
        It holds no settings.
    MissingExtraError
        PyYAML is not installed.
    """
    yaml = require("yaml", extra="integrations", purpose="Settings in YAML files")
    try:
        loader = _loader(yaml)(read_text(path, _SETTINGS_BYTES))
        try:
            found = loader.get_single_data()
        finally:
            loader.dispose()
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split()):.200}", "it was not read", "Check the file") from None
    return found if isinstance(found, dict) else {}


_LOADERS: dict[str, Any] = {}


def _loader(yaml: Any) -> Any:
    """A safe loader that reads a node with an unknown tag as the plain data in it."""
    if "plain" not in _LOADERS:

        def construct(loader: Any, _suffix: str, node: Any) -> Any:
            if isinstance(node, yaml.MappingNode):
                return loader.construct_mapping(node, deep=True)
            if isinstance(node, yaml.SequenceNode):
                return loader.construct_sequence(node, deep=True)
            return loader.construct_scalar(node)

        kind = type("PlainLoader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {})
        kind.add_multi_constructor("tag:yaml.org,2002:python/", construct)  # type: ignore[attr-defined]
        kind.add_multi_constructor("!", construct)  # type: ignore[attr-defined]
        _LOADERS["plain"] = kind
    return _LOADERS["plain"]

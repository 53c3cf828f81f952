"""Config files: TOML, YAML or JSON."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from scalefit._files import read_text
from scalefit.errors import ArgumentError, require
from scalefit.training._config import ConfigT


def read_mapping(path: str | Path) -> dict[str, Any]:
    """Read a TOML, YAML or JSON file that holds one table."""
    path = Path(path)
    try:
        text = read_text(path)
    except OSError as error:
        raise ArgumentError(
            f"The config file {path} cannot be read: {error.strerror}", "nothing was run", "Check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise ArgumentError(
            f"The config file {path} is not text ({error.reason} at byte {error.start})",
            "nothing was run",
            "Save it as UTF-8",
        ) from error
    try:
        if path.suffix == ".toml":
            return tomllib.loads(text)
        if path.suffix in (".yaml", ".yml"):
            values = require("yaml", extra="train", purpose="YAML configs").safe_load(text)
        elif path.suffix == ".json":
            values = json.loads(text)
        else:
            raise ArgumentError(
                f"{path.name} is not a config file scalefit knows", "nothing was run", "Use .toml, .yaml or .json"
            )
    except ArgumentError:
        raise
    except Exception as error:
        raise ArgumentError(
            f"{path} is not valid {path.suffix[1:].upper()}: {error}", "nothing was run", "Correct it"
        ) from error
    if not isinstance(values, dict):
        raise ArgumentError(f"{path} holds a {type(values).__name__}", "nothing was run", "Write a table of fields")
    return values


def load_config(path: str | Path, kind: type[ConfigT]) -> ConfigT:
    """Read a config file as `kind` (RunConfig or SweepConfig).

    Raises
    ------
    ArgumentError
        Unreadable file, unknown field, wrong type or a value that is not allowed; the first problem is named.
    """
    return kind.from_dict(read_mapping(path))

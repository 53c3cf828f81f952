"""Fixtures for every test; hides torch where the environment asks for it."""

from __future__ import annotations

import importlib.abc
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

#: They are loaded as plugins; to --doctest-modules the folders' conftest.py would be modules of one name.
collect_ignore_glob = ["*conftest.py"]


class _NoTorch(importlib.abc.MetaPathFinder):
    """Make `import torch` fail. A None in sys.modules would do, but scipy looks there by name."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] == "torch":
            raise ImportError("torch is hidden by SCALEFIT_HIDE_TORCH")
        return None


if os.environ.get("SCALEFIT_HIDE_TORCH"):
    sys.meta_path.insert(0, _NoTorch())

settings.register_profile("scalefit", deadline=None, suppress_health_check=list(HealthCheck), max_examples=50)
settings.load_profile("scalefit")


@pytest.fixture(scope="session")
def external_data() -> Path:
    """Folder of third-party tables; the test is skipped, visibly, where there is none."""
    folder = os.environ.get("SCALEFIT_DATA_DIR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("third-party tables: set SCALEFIT_DATA_DIR to the folder that holds them")
    return Path(folder)

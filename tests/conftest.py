"""Fixtures for every test; hides torch where the environment asks for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

if os.environ.get("SCALEFIT_HIDE_TORCH"):
    sys.modules["torch"] = None  # type: ignore[assignment]  # `import torch` now raises ImportError

settings.register_profile("scalefit", deadline=None, suppress_health_check=list(HealthCheck), max_examples=50)
settings.load_profile("scalefit")


@pytest.fixture(scope="session")
def external_data() -> Path:
    """Folder of third-party tables; the test is skipped, visibly, where there is none."""
    folder = os.environ.get("SCALEFIT_DATA_DIR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("third-party tables: set SCALEFIT_DATA_DIR to the folder that holds them")
    return Path(folder)

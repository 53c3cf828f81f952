"""Type aliases shared by the package."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

ArrayLike = npt.ArrayLike
Array = npt.NDArray[np.float64]
AnyArray = npt.NDArray[Any]
Seed = int | np.random.Generator | np.random.RandomState | None

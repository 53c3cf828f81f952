"""Plain data that JSON can hold: what is not finite becomes null, everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """Return plain data from numpy, pandas, mappings, tuples and paths.

    Examples
    --------
    >>> import numpy as np
    >>> plain({"loss": np.float64(2.5), "at": (1, float("nan")), "on": np.bool_(True)})
    {'loss': 2.5, 'at': [1, None], 'on': True}
    """
    if isinstance(value, Mapping) or hasattr(value, "to_dict"):
        items = value.items() if isinstance(value, Mapping) else value.to_dict().items()
        return {str(key): plain(item) for key, item in items}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)

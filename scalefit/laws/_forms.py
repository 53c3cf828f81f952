"""Parts of formulas that several laws share."""

from __future__ import annotations

from typing import Any

import numpy as np


def softplus(z: Any) -> Any:
    """ln(1 + e^z), real or complex, never overflowing."""
    above = np.real(z) > 0
    return np.where(above, z, 0.0) + np.log(1.0 + np.exp(np.where(above, -z, z)))


def effective_experts(n_experts: Any, E_start: Any, E_max: Any) -> Any:
    """Effective number of experts, saturating between `E_start` and `E_max` (Clark et al. 2022, arXiv:2202.01169)."""
    return 1.0 / (1.0 / (n_experts - 1.0 + 1.0 / (1.0 / E_start - 1.0 / E_max)) + 1.0 / E_max)

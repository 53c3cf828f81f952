"""What a page holds for programs."""

from __future__ import annotations

import json
import re


def data_of(page: str) -> dict:
    """Everything: its numbers, and its runs by column."""
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S).group(1))


def numbers(page: str) -> dict:
    """Its numbers."""
    return data_of(page)["numbers"]

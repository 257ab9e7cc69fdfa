"""What somebody had before their eyes when they changed it: a digest that a form carries along."""

import hashlib
import json
from typing import Any


def stamp(state: Any) -> str:
    """A short digest of a state made of JSON values and dates: equal for equal states, whoever computes it."""
    return hashlib.sha256(json.dumps(state, sort_keys=True, default=str).encode()).hexdigest()[:16]

"""What commands print."""

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console

console = Console(highlight=False)


def print_json(content: Mapping[str, Any]) -> None:
    """Print an object as JSON, dates and paths as text."""
    console.out(json.dumps(content, indent=2, ensure_ascii=False, default=str), highlight=False)

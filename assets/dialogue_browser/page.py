"""The page itself: one HTML file with its style and program inline."""

import base64
import hashlib
from functools import cache
from pathlib import Path

PARTS = Path(__file__).parent / "page"


@cache
def page_html() -> bytes:
    """`index.html`. Its Content-Security-Policy allows only its own program, by hash, and scripts beside it."""
    style, program = (_part(name) for name in ("style.css", "browser.js"))
    html = _part("page.html")
    for placeholder, text in {
        "{{style_hash}}": _hash(style),
        "{{program_hash}}": _hash(program),
        "{{style}}": style,
        "{{program}}": program,
    }.items():
        html = html.replace(placeholder, text, 1)
    return html.encode()


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

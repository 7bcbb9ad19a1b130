"""The page itself: one HTML file with its style and program inline."""

import base64
import hashlib
from functools import cache
from pathlib import Path

PARTS = Path(__file__).parent / "page"


@cache
def page_html() -> bytes:
    """`index.html`. Its Content-Security-Policy allows only its own program, by hash, and scripts beside it."""
    return inlined(PARTS / "page.html", PARTS / "browser.js").encode()


def inlined(page: Path, program: Path) -> str:
    """A page with the browser's style and a program inside, and the hashes of both in its Content-Security-Policy."""
    html, code = page.read_text(encoding="utf-8"), program.read_text(encoding="utf-8")
    style = (PARTS / "style.css").read_text(encoding="utf-8")
    for placeholder, text in {
        "{{style_hash}}": _hash(style),
        "{{program_hash}}": _hash(code),
        "{{style}}": style,
        "{{program}}": code,
    }.items():
        html = html.replace(placeholder, text, 1)
    return html


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

"""The data files of the browser: deflated JSON in a script, which a page can load from a disk or a web server.

    dialogueData["dialogues/00001"]="eNqL…";

A page that was opened as `file://` may not fetch files, but may run scripts. The text is ASCII without `<`, `"` or
`\\`, whatever the dialogues say.
"""

import base64
import json
import zlib
from typing import Any

LEVEL = 6
GLOBAL = "dialogueData"


def data_file(name: str, content: Any) -> bytes:
    """The script of some content under a name. The same content gives the same bytes.

    Raises:
        ValueError: a number is not finite; JSON has no such number.
    """
    # lone surrogates, which UTF-8 cannot encode, are escapes in ASCII
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    packed = base64.b64encode(zlib.compress(text.encode("ascii"), LEVEL)).decode("ascii")
    return f'{GLOBAL}["{name}"]="{packed}";\n'.encode("ascii")


def read_data_file(data: bytes) -> Any:
    """The content of a data file.

    Raises:
        ValueError: it is not a data file, or damaged.
    """
    start, end = data.find(b']="'), data.rfind(b'";')
    if not data.startswith(f'{GLOBAL}["'.encode()) or start < 0 or end < start:
        raise ValueError("this is not a data file of a dialogue browser")
    try:
        return json.loads(zlib.decompress(base64.b64decode(data[start + 3 : end], validate=True)))
    except zlib.error as error:
        raise ValueError(f"this data file of a dialogue browser is damaged: {error}") from error

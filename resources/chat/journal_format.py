"""How journal files hold completions.

A `.jsonl` file is JSON Lines, one completion per line:

    {"key":"<64 hex digits>","completion":{"text":"...","prompt_tokens":10,...},"crc32":"<8 hex digits>"}

The checksum is CRC-32 over the hex digits of the key and the JSON text of the completion. `jq .completion.text` and
`grep` read the files; a line that was edited by hand no longer fits its checksum and is skipped.

A `.journal` file is the binary format of earlier versions: 14 bytes of header, then records of a mark, the length of
the payload, a CRC-32 of length and payload, and the payload (key and completion). It is read and no longer written.
"""

import re
from collections.abc import Iterator
from struct import Struct
from zlib import crc32

KEY_BYTES = 32

_LINE = re.compile(rb'\{"key":"([0-9a-f]{64})","completion":(.*),"crc32":"([0-9a-f]{8})"\}', re.DOTALL)
_BINARY_HEADER = b"MJOURNAL\x00\x01" + crc32(b"MJOURNAL\x00\x01").to_bytes(4, "big")
_BINARY_MARK = b"\xf5\xc3RJ"  # 0xF5 never occurs in UTF-8 text
_BINARY_LENGTH = Struct(">I")
_BINARY_RECORD = Struct(">II")


class JournalError(RuntimeError):
    """A journal cannot be read by this version. The message names the file and what to do."""


def encode_line(key: bytes, completion: bytes) -> bytes:
    """One line of a `.jsonl` file. `key` has 32 bytes, `completion` is JSON text without line breaks."""
    digits = key.hex().encode()
    return b'{"key":"%b","completion":%b,"crc32":"%08x"}\n' % (digits, completion, crc32(completion, crc32(digits)))


def decode_file(path: str, data: bytes) -> Iterator[tuple[bytes, bytes] | None]:
    """Key and completion of each record of a file, in order; None for each damaged line or stretch of bytes.

    Args:
        path: where the file is; its extension names the format.
        data: what it holds.

    Raises:
        JournalError: this version does not know the format.
    """
    if path.endswith(".jsonl"):
        return _decode_lines(data)
    if path.endswith(".journal"):
        return _decode_binary(data)
    raise JournalError(
        f"{path} has a journal format that this version does not know: use the newer version, or delete the file and "
        "pay for its answers again"
    )


def _decode_lines(data: bytes) -> Iterator[tuple[bytes, bytes] | None]:
    for line in data.split(b"\n"):
        match = _LINE.fullmatch(line)
        if match and crc32(match[2], crc32(match[1])) == int(match[3], 16):
            yield bytes.fromhex(match[1].decode()), match[2]
        elif line:
            yield None


def _decode_binary(data: bytes) -> Iterator[tuple[bytes, bytes] | None]:
    header, *records = data.split(_BINARY_MARK)
    if header != _BINARY_HEADER:
        yield None
    for record in records:
        length, checksum = _BINARY_RECORD.unpack_from(record.ljust(_BINARY_RECORD.size, b"\0"))
        payload = record[_BINARY_RECORD.size : _BINARY_RECORD.size + length]
        if length >= KEY_BYTES and crc32(payload, crc32(_BINARY_LENGTH.pack(length))) == checksum:
            yield payload[:KEY_BYTES], payload[KEY_BYTES:]
            if len(record) == _BINARY_RECORD.size + length:
                continue
        yield None

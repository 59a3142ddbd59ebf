"""What a zip archive says of its size, before its list of members is read into memory."""

from __future__ import annotations

import struct
import zipfile
from typing import BinaryIO

from upc import limits

_END = b"PK\x05\x06"
_END_64 = b"PK\x06\x06"
_LONGEST_END = 22 + 65535 + 20 + 56
"""Bytes from an archive's end to where its last records begin at the most: its comment, and what 64 bits add."""


def check_directory(file: BinaryIO, size: int) -> None:
    """Raise zipfile.BadZipFile for an archive of some bytes whose list of members is longer than limits allow."""
    start = max(0, size - _LONGEST_END)
    file.seek(start)
    tail = file.read(size - start)
    end, end_64 = tail.rfind(_END), tail.rfind(_END_64)
    lengths: list[int] = []
    if end >= 0 and end + 16 <= len(tail):
        lengths += struct.unpack_from("<L", tail, end + 12)
    if end_64 >= 0 and end_64 + 48 <= len(tail):
        lengths += struct.unpack_from("<Q", tail, end_64 + 40)
    # Where 64 bits count, the 32 of the older record are all ones.
    lengths = [length for length in lengths if length != 0xFFFFFFFF]
    most = limits.current().archive_directory_bytes
    if not lengths or max(lengths) > most:
        found = f"{max(lengths)} bytes" if lengths else "no end"
        raise zipfile.BadZipFile(f"its list of members has {found}, of {most} allowed")

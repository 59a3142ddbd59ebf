"""What HDF5's own library must not be given: heaps of variable-length values in which it would go round for ever.

The library steps from one object of such a heap to the next by the size that the object says, and does not notice
when that leads nowhere. Source: the HDF5 File Format Specification, version 3.0, II.A and III.E.
"""

from __future__ import annotations

_START, _HEAP = b"\x89HDF\r\n\x1a\n", b"GCOL\x01\x00\x00\x00"
_WORD, _HEADER = 8, 16
_LIMIT = 2**63


def check_heaps(content: bytes) -> None:
    """Raise ValueError where a heap's objects do not lead to its end, or numbers have other sizes than are usual."""
    _check_word(content)
    at, end = content.find(_HEAP), 0
    while at >= 0:
        if at < end:
            raise ValueError("one of its heaps lies within another")
        end = at + _number(content, at + 8)
        place, last = at + _HEADER, min(end, len(content)) - _HEADER
        while place <= last:
            size = _number(content, place + 8)
            # The object by the number 0 is what is free: its size is that of all of it.
            free = content[place : place + 2] == b"\0\0"
            step = size if free else _HEADER + -(-size // _WORD) * _WORD
            if not 0 < step < _LIMIT:
                raise ValueError("a heap in it has no end")
            place += step
        at = content.find(_HEAP, at + 1)


def _check_word(content: bytes) -> None:
    """Offsets and lengths have eight bytes, wherever the file begins within its content."""
    at = 0
    while at < len(content) and not content.startswith(_START, at):
        at = at * 2 or 512
    first = at + (13 if content[at + 8 : at + 9] in (b"\0", b"\1") else 9)
    if content[first : first + 2] not in (b"\x08\x08", b""):
        raise ValueError("its offsets or lengths have not eight bytes")


def _number(content: bytes, at: int) -> int:
    return int.from_bytes(content[at : at + _WORD], "little")

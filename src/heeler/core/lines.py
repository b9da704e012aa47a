"""Lines of a file that is too long to be read whole."""

import os

_CHUNK_BYTES = 1 << 16


def line_start(descriptor: int, position: int) -> int:
    """Where the line begins to which the byte at `position` belongs."""
    while position > 0:
        begin = max(0, position - _CHUNK_BYTES)
        found = os.pread(descriptor, position - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        position = begin
    return 0

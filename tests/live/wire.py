# SPDX-License-Identifier: MIT
"""Protocol buffers by hand, just large enough to check what we write: the wire format alone.

protobuf.dev/programming-guides/encoding. What the fields are is for the caller to know.
"""


def varint(data, at):
    """Returns (value, the place behind it)."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("varint too long")


def fields(data):
    """Yields (number, value): int for varints and fixed sizes, bytes for the length-delimited."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = int.from_bytes(data[at : at + size], "little"), at + size
            if at > len(data):
                raise ValueError("cut short")
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
            if len(value) != size:
                raise ValueError("cut short")
        else:
            raise ValueError(f"wire type {kind}")
        yield key >> 3, value


def message(data):
    """All of them: {number: [value, ...]}."""
    found = {}
    for number, value in fields(data):
        found.setdefault(number, []).append(value)
    return found


def numbers(value):
    """A repeated integer: packed or one at a time."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        found.append(number)
    return found


def signed(value):
    """An int64 or int32 of what a varint holds."""
    return value - (1 << 64) if value >> 63 else value

"""What a file of ONNX costs in memory, counted before it is parsed.

Two bytes of a protobuf can become a hundred in memory: an empty node, a small whole number.
"""

from rnnsim.importing.formats.damage import RefusedError

_SCHEMA: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "entry", 14: "entry", 20: "training", 25: "function", 26: "rare"},
    "training": {1: "graph", 2: "graph", 3: "entry", 4: "entry"},
    "function": {7: "node", 9: "entry", 11: "attribute", 12: "value", 14: "entry"},
    "graph": {
        **{1: "node", 5: "tensor", 14: "annotation", 15: "sparse", 16: "entry"},
        **dict.fromkeys((11, 12, 13), "value"),
    },
    "node": {5: "attribute", 9: "entry", 10: "rare"},
    "attribute": {
        **{5: "tensor", 6: "graph", 8: "numbers", 10: "tensor", 11: "graph"},
        **{14: "type", 15: "type", 22: "sparse", 23: "sparse"},
    },
    "tensor": {1: "numbers", 5: "numbers", 7: "numbers", 11: "numbers", 13: "entry", 16: "entry"},
    "sparse": {1: "tensor", 2: "tensor", 3: "numbers"},
    "annotation": {2: "entry"},
    "value": {2: "type", 4: "entry"},
    "type": {**dict.fromkeys((1, 8), "array"), **dict.fromkeys((4, 5, 9), "type")},
    "array": {2: "shape"},
    "shape": {1: "entry"},
    "entry": {},
}
_MESSAGE, _TEXT, _NUMBER, _RARE = 160, 32, 8, 64  # bytes in memory, about
_SPARE = 1 << 20
_DEEPEST = 100
_MORE = bytes(range(0x80, 0x100))  # bytes of whole numbers that go on


def check(data: bytes) -> None:
    """Refuse what would take more than about twice its size, or is no protobuf.

    Raises
    ------
    ValueError
        As it says.
    """
    left = 2 * len(data) + _SPARE
    waiting = [(0, len(data), "model", 0)]
    while waiting:
        place, end, message, depth = waiting.pop()
        if depth > _DEEPEST:
            raise RefusedError(f"it is nested more than {_DEEPEST} deep")
        while place < end:
            key, place = _varint(data, place, end)
            if key & 7 != 2:
                place = _skipped(data, place, end, key & 7)
                left -= 2 * _NUMBER
            else:
                length, place = _varint(data, place, end)
                kind = _SCHEMA[message].get(key >> 3, "")
                if place + length > end:
                    raise RefusedError("it is cut off")
                if kind == "numbers":
                    part = data[place : place + min(length, left)]
                    whole = length if length > left else len(part.translate(None, _MORE))
                    left -= _NUMBER * whole
                elif kind == "rare":
                    left -= _RARE * length
                elif kind:
                    left -= _MESSAGE
                    waiting.append((place, place + length, kind, depth + 1))
                else:
                    left -= _TEXT
                place += length
            if left < 0:
                raise RefusedError(
                    f"its {len(data)} bytes stand for more than twice as much in memory; it is no "
                    "file that a framework writes"
                )


def _varint(data: bytes, place: int, end: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, and the place behind it."""
    value = 0
    for k in range(10):
        if place + k >= end:
            break
        value |= (data[place + k] & 0x7F) << 7 * k
        if data[place + k] < 0x80:
            return value, place + k + 1
    raise RefusedError("it is cut off, or is no file of ONNX")


def _skipped(data: bytes, place: int, end: int, wire: int) -> int:
    """The place behind a number."""
    if wire == 0:
        return _varint(data, place, end)[1]
    if wire not in (1, 5) or place + (8 if wire == 1 else 4) > end:
        raise RefusedError("it is cut off, or is no file of ONNX")
    return place + (8 if wire == 1 else 4)

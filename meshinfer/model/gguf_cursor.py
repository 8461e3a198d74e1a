"""Reading the values of a GGUF header one after the other. Nothing here trusts the file."""

import math
import struct
from pathlib import Path
from typing import BinaryIO

from meshinfer.errors import BrokenModel

Value = bool | int | float | str | list["Value"]

_MAX_ARRAY = 4_000_000  # items; vocabularies have up to 300,000
_MAX_STRING_BYTES = 4_000_000  # chat templates have up to 20,000

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


class Cursor:
    """Reads GGUF's values one after the other, and never more than the file has."""

    def __init__(self, path: Path, stream: BinaryIO, file_bytes: int) -> None:
        self.path = path
        self._stream = stream
        self._left_bytes = file_bytes

    @property
    def position(self) -> int:
        """How many bytes were read."""
        return self._stream.tell()

    def raw(self, size_bytes: int) -> bytes:
        """The next bytes as they are.

        Raises:
            BrokenModel: the file has fewer.
        """
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            raise BrokenModel(f"{self.path}: torn: the header wants {-self._left_bytes} bytes past the end")
        return self._stream.read(size_bytes)

    def number(self, code: str) -> int:
        """A whole number, by its letter in `struct`."""
        value: int = struct.unpack("<" + code, self.raw(struct.calcsize("<" + code)))[0]
        return value

    def text(self) -> str:
        """A text with its length in front."""
        size_bytes = self.number("Q")
        if size_bytes > _MAX_STRING_BYTES:
            raise BrokenModel(f"{self.path}: a text of {size_bytes} bytes, limit {_MAX_STRING_BYTES}")
        try:
            return self.raw(size_bytes).decode()
        except UnicodeDecodeError as error:
            raise BrokenModel(f"{self.path}: a text in the header is not UTF-8") from error

    def value(self, type_number: int, *, is_nested: bool = False) -> Value:
        """A value of one of GGUF's types; lists hold no lists."""
        if type_number == _STRING:
            return self.text()
        if type_number == _ARRAY and not is_nested:
            return self._array()
        return self._scalars(type_number, 1)[0]

    def _array(self) -> list[Value]:
        type_number, count = self.number("I"), self.number("Q")
        if count > _MAX_ARRAY:
            raise BrokenModel(f"{self.path}: an array of {count} items, limit {_MAX_ARRAY}")
        if type_number in _SCALARS:
            return self._scalars(type_number, count)
        return [self.value(type_number, is_nested=True) for _ in range(count)]

    def _scalars(self, type_number: int, count: int) -> list[Value]:
        code = _SCALARS.get(type_number)
        if code is None:
            raise BrokenModel(f"{self.path}: metadata of the unknown type {type_number}")
        values = struct.unpack(f"<{count}{code}", self.raw(count * struct.calcsize("<" + code)))
        return [_shortest(value) for value in values] if code == "f" else list(values)


def _shortest(value: float) -> float:
    """The shortest decimal that is the same float32: 1e-05, not 9.999999747378752e-06."""
    if not math.isfinite(value):
        return value
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        # Rounding up the largest float32 gives a number that is none.
        if abs(float(text)) < 3.4e38 and struct.pack("<f", float(text)) == struct.pack("<f", value):
            return float(text)
    return value

"""JSON texts as a stream of values: lines, an array, or objects one after the other.

    JSON lines: a broken line is a `Broken` value, and the next line is read
    JSON array: an element that cannot be parsed ends the file, for nothing says where the next is

Standard library only, bounded memory. Of a key that stands twice the last value counts, as for the
predictor.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shared.errors import UnreadableText
from shared.tabular.reading.lines import MAX_LINE_BYTES

_BLANKS = re.compile(r"[ \t\r\n]*")
_LINE_END = re.compile(r"[\r\n]+")  # inside a JSON string both are escaped


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that is no JSON."""

    text: str
    why: str


def line_values(steps: Iterable[bytes]) -> Iterator[tuple[int, object]]:
    """One value per line that is not blank, with the number of its step (from 1)."""
    for number, step in enumerate(steps, start=1):
        for line in _LINE_END.split(step.decode()):
            if not line or line.isspace():
                continue
            try:
                yield number, json.loads(line)
            except RecursionError:
                yield number, Broken(line, "is nested too deeply")
            except ValueError as error:
                yield number, Broken(line, f"is no JSON: {error}")


def array_values(steps: Iterable[bytes]) -> Iterator[tuple[int, object]]:
    """The elements of an array, or values one after the other, with the number of the step (from 1)
    that each ends in. Raises UnreadableText."""
    text = _Text(iter(steps))
    array = text.peek() == "["
    text.at += array
    count = 0
    while (first := text.peek()) and not (array and first == "]"):
        if array and count:
            if first != ",":
                raise UnreadableText(f"after record {count} of the JSON array there is no comma")
            text.at += 1
            text.peek()
        count += 1
        yield text.steps, text.value(count)
    if array and not first:
        raise UnreadableText("the JSON array does not end; was the file cut?")
    text.at += array
    if text.peek():
        raise UnreadableText("there is more after the end of the JSON array; one array is expected")


class _Text:
    """As much of the text as one value needs."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source, self._decoder = source, json.JSONDecoder()
        self._text = ""
        self.at = self.steps = 0

    def peek(self) -> str:
        """The next character that is not blank, "" at the end."""
        while True:
            self.at = _end(_BLANKS.match(self._text, self.at))
            if self.at < len(self._text):
                return self._text[self.at]
            if not self._more():
                return ""

    def value(self, number: int) -> object:
        """The value that begins here. Raises UnreadableText."""
        while True:
            try:
                found, end = self._decoder.raw_decode(self._text, self.at)
            except RecursionError as error:
                raise UnreadableText(f"record {number} is nested too deeply") from error
            except ValueError as error:  # maybe it goes on in the next step
                if len(self._text) - self.at > MAX_LINE_BYTES or not self._more():
                    raise UnreadableText(
                        f"record {number} is no JSON ({error}); was the file cut?"
                    ) from error
                continue
            if end == len(self._text) and self._text[-1] not in '}]"' and self._more():
                continue  # a number may have more digits
            self.at = end
            return found

    def _more(self) -> bool:
        step = next(self._source, None)
        if step is None:
            return False
        self._text, self.at = self._text[self.at :] + step.decode(), 0
        self.steps += 1
        return True


def _end(match: re.Match[str] | None) -> int:
    return match.end() if match else 0

"""Calendar files (RFC 5545), as much of them as visits need."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO

_MOST_OCTETS = 75  # of a line, without its end (RFC 5545, 3.1)
_ESCAPES = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n", "\r": None})


@dataclass(frozen=True)
class Event:
    """One entry of a calendar. ``status`` is one of RFC 5545's; ``sequence`` grows with each change of the entry."""

    uid: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    summary: str
    description: str
    location: str
    categories: Sequence[str]
    status: str
    sequence: int


class CalendarWriter:
    """Writes events into a file as they come; the calendar is whole once it is closed. ``now`` is when it is made."""

    def __init__(self, file: IO[bytes], now: dt.datetime) -> None:
        self._file = file
        self._now = now
        self._write(("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//spa_app//export//EN", "CALSCALE:GREGORIAN"))

    def write(self, event: Event) -> None:
        """Add an event."""
        self._write(
            (
                "BEGIN:VEVENT",
                f"UID:{_text(event.uid)}",
                f"DTSTAMP:{_instant(self._now)}",
                f"DTSTART:{_instant(event.starts_at)}",
                f"DTEND:{_instant(event.ends_at)}",
                f"SEQUENCE:{event.sequence}",
                f"STATUS:{event.status}",
                f"SUMMARY:{_text(event.summary)}",
                f"DESCRIPTION:{_text(event.description)}",
                f"LOCATION:{_text(event.location)}",
                f"CATEGORIES:{','.join(map(_text, event.categories))}",
                "END:VEVENT",
            )
        )

    def close(self) -> None:
        """End the calendar; the file stays open."""
        self._write(("END:VCALENDAR",))

    def _write(self, lines: Iterable[str]) -> None:
        self._file.write(b"".join(map(_folded, lines)))


def _folded(line: str) -> bytes:
    """The line in pieces of 75 octets at most, never within a character; each but the first begins with a space."""
    octets = line.encode()
    pieces = []
    start, room = 0, _MOST_OCTETS
    while len(octets) - start > room:
        end = start + room
        while octets[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(octets[start:end])
        start, room = end, _MOST_OCTETS - 1
    pieces.append(octets[start:])
    return b"\r\n ".join(pieces) + b"\r\n"


def _text(value: str) -> str:
    escaped = value.replace("\r\n", "\n").translate(_ESCAPES)
    return "".join(char for char in escaped if char >= " " and char != "\x7f")


def _instant(value: dt.datetime) -> str:
    return value.astimezone(dt.UTC).strftime("%Y%m%dT%H%M%SZ")

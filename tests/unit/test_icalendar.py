"""Calendar files, as RFC 5545 wants them."""

import datetime as dt
import io

from hypothesis import given
from hypothesis import strategies as st

from spa_app.icalendar import CalendarWriter, Event

AT = dt.datetime(2026, 3, 9, 10, 30, tzinfo=dt.timezone(dt.timedelta(hours=7)))


def written(**changes):
    values = {
        "uid": "booking-7@q1.spa-app",
        "starts_at": AT,
        "ends_at": AT + dt.timedelta(hours=1),
        "summary": "Lê Thị Mai: Basic Facial",
        "description": "",
        "location": "",
        "categories": ["confirmed"],
        "status": "CONFIRMED",
        "sequence": 2,
    }
    file = io.BytesIO()
    writer = CalendarWriter(file, dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC))
    writer.write(Event(**(values | changes)))
    writer.close()
    return file.getvalue()


def unfolded(data):
    return data.replace(b"\r\n ", b"").decode().split("\r\n")


def test_an_event_is_what_the_standard_says():
    assert unfolded(written()) == [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//spa_app//export//EN",
        "CALSCALE:GREGORIAN",
        "BEGIN:VEVENT",
        "UID:booking-7@q1.spa-app",
        "DTSTAMP:20260102T030405Z",
        "DTSTART:20260309T033000Z",
        "DTEND:20260309T043000Z",
        "SEQUENCE:2",
        "STATUS:CONFIRMED",
        "SUMMARY:Lê Thị Mai: Basic Facial",
        "DESCRIPTION:",
        "LOCATION:",
        "CATEGORIES:confirmed",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]


def test_marks_of_the_format_are_escaped_and_control_characters_left_out():
    text = "a;b,c\\d\r\ne\nBEGIN:VEVENT\x07\x7f"

    assert r"DESCRIPTION:a\;b\,c\\d\ne\nBEGIN:VEVENT" in unfolded(written(description=text))


@given(st.text(alphabet="aắ😀;\n", max_size=300))
def test_no_line_is_longer_than_75_octets_and_no_character_is_cut(text):
    data = written(summary=text)

    lines = data.split(b"\r\n")
    assert max(map(len, lines)) <= 75
    assert all(line.decode() is not None for line in lines)
    expected = text.replace(";", "\\;").replace("\n", "\\n")
    assert f"SUMMARY:{expected}" in unfolded(data)

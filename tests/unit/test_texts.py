"""What people type: composed, trimmed, and without what nobody can see."""

import pytest

from spa_app.errors import InvalidError
from spa_app.services.texts import clean_text, required_reason


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Lễ tân  ", "Lễ tân"),
        ("e\u0302\u0301", "ế"),
        ("one\r\ntwo\tthree", "one\ntwo\tthree"),
        ("😀", "😀"),
        ("", ""),
    ],
)
def test_text_is_composed_and_trimmed(typed: str, kept: str):
    assert clean_text(typed, field="note", limit=100) == kept


@pytest.mark.parametrize("typed", ["a\x00b", "a\x01b", "a\u202eb", "a\u2066b", "a\x7fb", "\ud800"])
def test_what_cannot_be_seen_is_refused_at_its_field(typed: str):
    with pytest.raises(InvalidError) as refused:
        clean_text(typed, field="note", limit=100)
    assert (refused.value.code, refused.value.field) == ("control_character", "note")


def test_one_line_has_no_breaks_and_a_text_has_an_end():
    for typed in ("a\nb", "a" * 6):
        with pytest.raises(InvalidError):
            clean_text(typed, field="reference", limit=5, lines=False)


def test_a_reason_says_something():
    assert required_reason(" ill ") == "ill"
    with pytest.raises(InvalidError, match="Say why"):
        required_reason(" \t ")

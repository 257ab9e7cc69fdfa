"""Vietnamese is complete."""

from spa_app.cli.translations import extracted, faults


def test_everything_is_translated_and_merged():
    assert faults() == []


def test_msgids_are_found_in_code_and_templates():
    found = extracted()

    for msgid in ("Log in", "Calendar", "The therapist is busy at that time.", "User name"):
        assert found.get(msgid), msgid

"""Vietnamese is complete, and the check of it finds what it should."""

import pytest
from babel.messages.catalog import Catalog

from spa_app.cli import translations
from spa_app.cli.translations import extracted, faults, faults_of


def test_everything_is_translated_and_merged():
    assert faults() == []


def test_msgids_are_found_in_code_and_templates():
    found = extracted()

    for msgid in ("Log in", "Calendar", "The therapist is busy at that time.", "User name"):
        assert found.get(msgid), msgid


def test_it_names_what_is_missing_guessed_or_has_other_placeholders():
    vietnamese = Catalog("vi")
    vietnamese.add("Save", "Lưu")
    vietnamese.add("Cancel", "Huỷ", flags=["fuzzy"])
    vietnamese.add("%(count)s left", "còn %(cnt)s", flags=["python-format"])
    wanted = Catalog()
    for text in ("Save", "Cancel", "%(count)s left", "New"):
        wanted.add(text)

    assert faults_of(vietnamese, wanted) == [
        "only guessed: 'Cancel'",
        "unknown named placeholder 'cnt': '%(count)s left'",
        "not translated: 'New'",
    ]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "vi" / "LC_MESSAGES").mkdir(parents=True)
    (tmp_path / "parts").mkdir()
    (tmp_path / "vi" / "LC_MESSAGES" / "messages.po").write_text('msgid "Gone"\nmsgstr "Mất"\n')
    (tmp_path / "parts" / "a.po").write_text('msgid "Log in"\nmsgstr "Vào"\n')
    monkeypatch.setattr(translations, "TRANSLATIONS", tmp_path)
    return tmp_path


def test_update_takes_the_parts_in(app, folder):
    app.test_cli_runner().invoke(args=["translations", "update"])
    kept = translations.catalogue(folder / "vi" / "LC_MESSAGES" / "messages.po")

    assert kept.get("Log in").string == "Vào"
    assert kept.get("Gone") is None
    assert list((folder / "parts").iterdir()) == []

"""The check of the catalogues finds what it should."""

from babel.messages.catalog import Catalog

from tests.translations import faults_of, texts_of_the_application


def test_it_reads_the_texts_of_the_services():
    assert any(place.startswith("spa_app/services/") for place in texts_of_the_application().values())


def test_it_names_what_is_missing_fuzzy_or_has_other_placeholders():
    catalogue = Catalog("vi")
    catalogue.add("Save", "Lưu")
    catalogue.add("Cancel", "Huỷ", flags=["fuzzy"])
    catalogue.add("%(count)s left", "còn %(cnt)s", flags=["python-format"])
    texts = dict.fromkeys(("Save", "Cancel", "%(count)s left", "New"), "x.py:1")

    faults = faults_of(catalogue, texts)

    assert [fault.partition(": ")[2].partition(":")[0] for fault in faults] == [
        "marked fuzzy",
        "unknown named placeholder 'cnt'",
        "not translated",
    ]

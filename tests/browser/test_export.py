"""A manager takes the spa's data along: two clicks to a file that opens and says what the screen says."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import load_workbook
from playwright.sync_api import Page, expect

from tests.factories import Spa, make_card, make_customer
from tests.services.checks import rows

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("javascript", [True, False])
def test_cards_are_downloaded_and_open(log_in: Callable[..., Page], spa: Spa, tmp_path: Path, javascript: bool):
    card = make_card(make_customer("=1+1 Hoa"), spa.facial, branch_id=spa.branch, sessions=7)
    page = log_in("manager", java_script_enabled=javascript)
    page.goto("/reports/export")
    page.get_by_label("What", exact=True).select_option("cards")
    taken = {}
    for kind, words in (("xlsx", "Excel"), ("csv", "CSV")):
        page.get_by_label(words, exact=True).check()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        assert download.value.suggested_filename.startswith("cards_Q1_")
        taken[kind] = tmp_path / f"cards.{kind}"
        download.value.save_as(taken[kind])
    expect(page.get_by_role("heading", name="Export", exact=True)).to_be_visible()

    head, line = load_workbook(taken["xlsx"]).active.iter_rows(values_only=True)
    found = dict(zip(head, line, strict=True))
    assert (found["card_id"], found["total_sessions"], found["free_sessions"]) == (card, 7, 7)
    with taken["csv"].open(encoding="utf-8-sig", newline="") as file:
        (same,) = csv.DictReader(file)
    assert (same["card_id"], same["full_name"]) == (str(card), "'=1+1 Hoa"), "no formula in a spreadsheet"
    assert rows("SELECT count(*) FROM audit_log WHERE action = 'data_exported'") == [(2,)]

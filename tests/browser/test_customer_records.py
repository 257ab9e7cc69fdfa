"""Two customers merged and parted again, and a photo added and looked at: at the desk, and without JavaScript."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from spa_app.services.customers import create_customer
from tests.factories import Spa
from tests.services.checks import rows

pytestmark = pytest.mark.browser
# A photo of one red point.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


@pytest.fixture
def pair(spa: Spa) -> tuple[int, int]:
    """Two customers of one name and nearly one number."""
    one, other = (
        create_customer(full_name=name, phone=phone, allergies=allergies, actor=spa.manager)
        for name, phone, allergies in (("Trần Hoa", "0912345678", "nuts"), ("Tran Hoa", "0912345679", "latex"))
    )
    return one, other


@pytest.mark.parametrize("script", [True, False])
def test_a_manager_merges_two_and_parts_them_again(pair: tuple[int, int], log_in: Callable[..., Page], script: bool):
    one, other = pair
    page = log_in("manager", java_script_enabled=script)
    page.goto(f"/customers/{other}")
    page.get_by_role("link", name=re.compile("Trần Hoa · 0912")).click()
    page.get_by_role("link", name="Keep the other one instead").click()
    expect(page.get_by_role("columnheader", name="Kept: Trần Hoa")).to_be_visible()
    page.get_by_role("radio", name="Phone: Tran Hoa").check()

    page.get_by_role("button", name="Merge them").click()

    expect(page).to_have_url(re.compile(rf"/customers/{one}$"))
    expect(page.get_by_label("Allergies", exact=True).first).to_contain_text("latex")
    assert rows("SELECT phone, allergies FROM customers WHERE id = :id", id=one) == [("+84912345679", "nuts\nlatex")]
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("The two customers are apart again.")).to_be_visible()
    assert rows("SELECT phone FROM customers WHERE id = :id", id=other) == [("+84912345679",)]


@pytest.mark.parametrize("script", [True, False])
def test_a_photo_is_added_and_seen(spa: Spa, log_in: Callable[..., Page], script: bool, tmp_path: Path):
    photo, page_of_html = tmp_path / "photo.png", tmp_path / "page.png"
    photo.write_bytes(PNG)
    page_of_html.write_text("<script>alert(1)</script>")
    page = log_in("reception", java_script_enabled=script)
    page.goto(f"/customers/{spa.customer}/files")
    page.get_by_label("Photo or PDF").set_input_files(page_of_html)
    page.get_by_role("button", name="Add file").click()
    expect(page.locator("#file-error")).to_contain_text("Only photos")

    page.get_by_label("Photo or PDF").set_input_files(photo)
    page.get_by_label("Caption").fill("Before")
    page.get_by_role("button", name="Add file").click()

    shown = page.get_by_role("img", name="Photo: Before")
    expect(shown).to_be_visible()
    expect(shown).to_have_js_property("naturalWidth", 1)
    assert rows("SELECT DISTINCT what FROM record_accesses ORDER BY 1") == [("file",), ("files",)]

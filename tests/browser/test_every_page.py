"""axe over every page, in both themes and both languages."""

import datetime as dt
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from spa_app import clock
from spa_app.models.bill import Bill, Discount, Tip, Ware
from spa_app.services import billing, bookings, day_close, drawers, payments, refunds, rosters, shift_templates
from spa_app.services.actor import SYSTEM
from spa_app.services.bookings import ItemRequest
from spa_app.services.customer_records import add_treatment_note, link_customers
from spa_app.services.deposits import take_deposit
from spa_app.services.rosters import Cell
from tests.factories import (
    TIMEZONE,
    Spa,
    make_booking,
    make_card,
    make_customer,
    make_drawer,
    make_entry,
    make_gift_card,
    make_product,
    make_promotion,
    make_staff,
    open_session_of,
    set_policy,
    tomorrow_at,
)
from tests.services.checks import execute, invoice_of

pytestmark = pytest.mark.browser
THEMES = ("light", "dark")


@pytest.fixture
def pages(spa: Spa) -> list[str]:
    """The address of each kind of page, with something on it."""
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    visit = make_booking(spa, status="completed", card=card)
    for time, therapist in (("10:00", 0), ("14:00", 0), ("14:00", 1)):
        make_booking(spa, ItemRequest(spa.facial, spa.therapists[therapist]), starts_at=tomorrow_at(spa.branch, time))
    tomorrow = clock.today(TIMEZONE) + dt.timedelta(days=1)
    unpaid = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=SYSTEM)
    product = make_product(spa.branch)
    wares = (Ware("product", product, 2, Discount(share_bp=500)),)
    tip = Tip(20_000, staff_ids=spa.therapists)
    bill = billing.sell(
        customer_id=spa.customer,
        branch_id=spa.branch,
        bill=Bill(wares=wares, reason="Regular", tip=tip),
        actor=SYSTEM,
    )
    items = [ItemRequest(spa.consultation, make_staff(spa.branch, [spa.consultation])) for _ in range(2)]
    started = make_booking(spa, *items, customer_id=make_customer(), status="in_progress")
    gift_card = make_gift_card(spa, receiver_name="Hồng")
    refunded = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=SYSTEM)
    payments.take_payment(refunded, method="card", amount=1_000_000, reference="A 17", actor=SYSTEM)
    note = refunds.refund_invoice(refunded, reason="by mistake", reference="R 17", actor=SYSTEM)
    partly = invoice_of(make_booking(spa, ItemRequest(spa.consultation), status="completed"))
    payments.take_payment(partly, method="card", amount=100_000, reference="A 18", actor=SYSTEM)
    planned = _plan_next_week(spa)
    make_entry(spa)
    at = tomorrow_at(spa.branch, "17:00")
    held = bookings.hold_place(make_entry(spa), starts_at=at, actor=spa.receptionist)
    deposit = take_deposit(held, method="cash", amount=50_000, actor=spa.receptionist)
    set_policy(spa.branch, bank_bin="970436", bank_account="0011001234567")
    promotion = make_promotion("TET", minimum_amount=500_000)
    twin = make_customer("Le Thi Mai", "+84912345678")
    execute("UPDATE customers SET birth_date = '1990-02-03'")
    link_customers(spa.customer, make_customer("Bé Na"), relation="child", actor=SYSTEM)
    add_treatment_note(visit, body="Calm skin", actor=SYSTEM)
    return [
        "/waitlist",
        "/waitlist/new",
        "/waitlist/1",
        f"/bookings/{held}",
        f"/waitlist/matches?starts_at={at:%Y-%m-%d}T12:00&ends_at={at:%Y-%m-%d}T13:00",
        "/customers",
        "/customers?q=mai",
        "/customers/new",
        f"/customers/{spa.customer}",
        f"/customers/{spa.customer}/treatments",
        "/customers/duplicates",
        f"/customers/{spa.customer}/merge/{twin}",
        *(f"/customers/{spa.customer}/{one}" for one in ("timeline", "health", "files", "family?q=Mai", "anonymise")),
        f"/customers/visits/{visit}/notes",
        *(f"/treatments/{card}?do={act}&q=a" for act in ("extend", "freeze", "share", "transfer", "adjust")),
        *(f"/treatments/{card}?do={act}&basis=list_price" for act in ("exchange", "refund")),
        "/bookings/new",
        f"/bookings/new?customer_id={spa.customer}&service_id={spa.facial}",
        f"/bookings/{visit}",
        f"/bookings/{visit}/slip",
        "/slots",
        f"/affected?staff_id={spa.therapists[0]}&date={tomorrow}",
        f"/affected?resource_id={spa.rooms[1]}",
        "/gift-cards",
        "/gift-cards?q=zzz",
        "/gift-cards/new?q=mai",
        f"/gift-cards/new?customer_id={spa.customer}",
        f"/gift-cards/{gift_card.id}",
        f"/gift-cards/{gift_card.id}/voucher",
        f"/invoices/{gift_card.invoice}",
        "/store-credit",
        f"/customers/{spa.customer}/credit",
        "/sales",
        f"/invoices/{unpaid}",
        f"/invoices/{unpaid}/receipt",
        f"/invoices/{unpaid}/refund",
        f"/invoices/{refunded}",
        f"/invoices/{partly}/refund",
        f"/invoices/{note}",
        "/sales/new",
        f"/sales/new?customer_id={spa.customer}",
        f"/invoices/{bill}",
        f"/invoices/{bill}/change",
        f"/bookings/{started}/bill",
        f"/invoices/{unpaid}/a4",
        f"/invoices/{unpaid}/transfer",
        f"/bookings/{held}/deposits",
        f"/deposits/{deposit}/slip",
        "/reports/",
        "/reports/daily",
        "/reports/payments",
        "/reports/sessions",
        "/reports/owed",
        "/reports/export",
        "/reports/ledger",
        "/reports/ledger/journal",
        "/reports/ledger/accounts/1310",
        "/reports/ledger/entries/1",
        "/reports/revenue",
        "/reports/liability",
        "/reports/liability/cards",
        "/reports/e-invoices",
        "/roster",
        f"/roster?week={planned}",
        f"/roster/cell?week={planned}&staff_id={spa.therapists[0]}&weekday=0",
        f"/roster/publish?week={planned}",
        "/roster/leave",
        "/setup/hours",
        "/setup/special-days",
        "/setup/policies",
        "/setup/shifts",
        "/setup/therapists",
        f"/setup/therapists/{spa.therapists[0]}",
        "/setup/rooms",
        f"/setup/rooms/{spa.rooms[0]}",
        "/setup/services",
        f"/setup/services/{spa.facial}",
        "/setup/plans",
        "/setup/plans/new",
        f"/setup/plans/{spa.plan}",
        "/setup/products",
        "/setup/products/new",
        f"/setup/products/{product}",
        "/setup/promotions",
        "/setup/promotions/new",
        f"/setup/promotions/{promotion}",
        "/setup/branch",
        "/setup/drawers",
        "/setup/drawers/new",
        *_evening(spa),
        "/nothing-here",
    ]


def _evening(spa: Spa) -> list[str]:
    """A drawer that was short yesterday with that day closed twice, and one that is open."""
    short, open_one = (make_drawer(spa.branch, opening=500_000) for _ in range(2))
    sessions = [open_session_of(drawer) for drawer in (short, open_one)]
    drawers.move_cash(sessions[0], kind="expense", amount=20_000, reason="Flowers", actor=SYSTEM)
    count = drawers.Count({100_000: 4})
    drawers.close_drawer(sessions[0], count=count, left_amount=300_000, actor=SYSTEM)
    yesterday = clock.today(TIMEZONE) - dt.timedelta(days=1)
    reports = [day_close.close_day(spa.branch, on=yesterday, uncounted=True, actor=SYSTEM)]
    day_close.reopen_day(reports[0], reason="Forgot the tips", actor=SYSTEM)
    reports.append(day_close.close_day(spa.branch, on=yesterday, uncounted=True, actor=SYSTEM))
    return [
        "/drawers",
        f"/drawers/{short}/open",
        *(f"/drawers/sessions/{sessions[1]}{more}" for more in ("", "/count", "/move")),
        f"/drawers/sessions/{sessions[0]}",
        "/day-close",
        *(f"/day-close/{report}" for report in reports),
        f"/day-close/{reports[1]}/paper",
    ]


def _plan_next_week(spa: Spa) -> dt.date:
    """A draft that leaves a visit off shift."""
    today = clock.today(TIMEZONE)
    monday = today + dt.timedelta(days=7 - today.weekday())
    shift = [(dt.time(8), dt.time(12)), (dt.time(16), dt.time(20))]
    shift_templates.save_template(branch_id=spa.branch, name="Split", periods=shift, actor=SYSTEM)
    cells = [Cell(spa.therapists[0], weekday) for weekday in range(5)]
    rosters.plan_cells(branch_id=spa.branch, monday=monday, cells=cells, periods=shift, actor=SYSTEM)
    make_booking(spa, starts_at=clock.at_local(monday, dt.time(20), TIMEZONE), customer_id=make_customer())
    return monday


def _faults(page: Page, path: str, rules: list[str] | None = None) -> list[str]:
    page.goto(path)
    found = Axe().run(page, options={"runOnly": rules} if rules else None).response["violations"]
    return [f"{path}: {fault['id']} {fault['nodes'][0]['html']}" for fault in found]


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_on_any_page(spa: Spa, log_in: Callable[..., Page], pages: list[str], theme: str):
    page = log_in("manager", color_scheme=theme)
    rules = ["color-contrast"] if theme == "dark" else None  # nothing but the colours is another in the dark

    assert [fault for path in pages for fault in _faults(page, path, rules)] == []


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_at_the_door(spa: Spa, chromium: Browser, site: str, theme: str):
    context = chromium.new_context(base_url=site, color_scheme=theme)

    assert _faults(context.new_page(), "/login") == []
    context.close()

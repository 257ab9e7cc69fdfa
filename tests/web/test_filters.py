"""What the filters write, in both languages and in the branch's time zone."""

import datetime as dt

import pytest

from spa_app.papers import format_phone
from spa_app.web.filters import date, datetime, local_input, money, time

AT = dt.datetime(2027, 3, 12, 18, 30, tzinfo=dt.UTC)  # 01:30 on the 13th in Ho Chi Minh City


@pytest.fixture(params=["en", "vi"])
def language(app, request):
    with app.test_request_context("/", headers={"Cookie": f"locale={request.param}"}):
        yield request.param


def test_instants_are_local(language):
    assert time(AT) == "01:30"
    assert local_input(AT) == "2027-03-13T01:30"
    assert datetime(AT) == {"en": "Mar 13, 2027, 01:30", "vi": "13 thg 3, 2027, 01:30"}[language]


def test_dates_are_not_moved(language):
    assert date(AT.date()) == {"en": "Mar 12, 2027", "vi": "12 thg 3, 2027"}[language]
    assert date(AT.date(), "MMMEd") == {"en": "Fri, Mar 12", "vi": "Th 6, 12 thg 3"}[language]


def test_money_and_phones(language):
    assert money(1500000) == {"en": "₫1,500,000", "vi": "1.500.000\xa0₫"}[language]
    assert format_phone("+84912345678") == "0912 345 678"
    assert format_phone("+33123456789") == "+33 1 23 45 67 89"


def test_nothing_is_empty(language):
    assert (time(None), datetime(None), date(None), local_input(None), format_phone(None)) == ("",) * 5

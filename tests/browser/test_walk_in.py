"""A walk-in, from the calendar to the visit, by mouse, by keyboard and without JavaScript."""

import pytest
import time_machine
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy import select

from spa_app.extensions import db
from spa_app.models import Booking, Customer
from spa_app.services.bookings import ItemRequest
from tests.browser.test_visit import Desk
from tests.factories import Spa, local_at, make_booking, make_card

pytestmark = pytest.mark.browser

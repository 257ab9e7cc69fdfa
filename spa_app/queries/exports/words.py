"""Columns and meanings that several tables share."""

from sqlalchemy import Text, bindparam, cast

from spa_app.errors import N_
from spa_app.queries.exports.table import Column

BRANCH = N_("Code of the branch")
CARD_ID = N_("Number of the card")
CUSTOMER_ID = N_("Number of the customer")
CUSTOMER_NAME = N_("The customer's name")
CUSTOMER_PHONE = N_("The customer's phone number")
INVOICE_ID = N_("Number of the invoice within this program (invoice_id)")
BOOKING_ID = N_("Number of the visit (booking_id)")
RECORDED_AT = N_("When it was recorded")
USER = N_("The user who did it; empty: the system")


def currency() -> Column:
    """The currency of the row's amounts; the statement is given it as ``currency``."""
    return Column("currency", cast(bindparam("currency"), Text), N_("Currency of the amounts"))

"""What can be exported, in the order in which it is read best."""

from spa_app.queries.exports.books import INVOICE_LINES, INVOICES, JOURNAL, PAYMENTS, PAYOUTS
from spa_app.queries.exports.cash import CASH_MOVEMENTS, DAY_CLOSES, DRAWER_SESSIONS
from spa_app.queries.exports.deposits import DEPOSIT_HISTORY, DEPOSITS
from spa_app.queries.exports.gift_cards import GIFT_CARD_HISTORY, GIFT_CARDS
from spa_app.queries.exports.goods import PRODUCTS, STOCK_MOVEMENTS
from spa_app.queries.exports.people import CARD_HISTORY, CARDS, CUSTOMERS
from spa_app.queries.exports.promotions import PROMOTION_USES, PROMOTIONS
from spa_app.queries.exports.visits import BOOKINGS

TABLES = {
    table.name: table
    for table in (
        CUSTOMERS,
        CARDS,
        CARD_HISTORY,
        BOOKINGS,
        INVOICES,
        INVOICE_LINES,
        PAYMENTS,
        PAYOUTS,
        GIFT_CARDS,
        GIFT_CARD_HISTORY,
        DEPOSITS,
        DEPOSIT_HISTORY,
        PROMOTIONS,
        PROMOTION_USES,
        DRAWER_SESSIONS,
        CASH_MOVEMENTS,
        DAY_CLOSES,
        JOURNAL,
        PRODUCTS,
        STOCK_MOVEMENTS,
    )
}

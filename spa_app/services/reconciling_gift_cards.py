"""Proving the gift cards: by their history, by the ledger, by what they paid and by what they were sold for.

Checks as in ``reconciliation``: code → (what it means, SQL of (id, what is stored, what its history says)).
"""

_HISTORY = """
    SELECT gift_card_id AS id, coalesce(sum(amount), 0) AS balance,
           coalesce(-sum(amount) FILTER (WHERE kind IN ('expire', 'reactivate')), 0) AS expired
    FROM gift_card_entries GROUP BY gift_card_id
"""

GIFT_CARD_CHECKS: dict[str, tuple[str, str]] = {
    "gift_card_balance": (
        "gift card {id}: stored issued/balance/expired {stored}, history says {computed}",
        f"""
        SELECT c.id, concat_ws('/', c.initial_amount, c.balance_amount, c.expired_amount) AS stored,
               concat_ws('/', coalesce(i.amount, 0), coalesce(h.balance, 0), coalesce(h.expired, 0)) AS computed
        FROM gift_cards c LEFT JOIN ({_HISTORY}) h USING (id)
        LEFT JOIN gift_card_entries i ON i.gift_card_id = c.id AND i.kind = 'issue'
        WHERE (c.initial_amount, c.balance_amount, c.expired_amount) IS DISTINCT FROM
              (coalesce(i.amount, 0), coalesce(h.balance, 0), coalesce(h.expired, 0))
        """,
    ),
    "gift_card_liability": (
        "gift card {id}: {stored} is on it, the ledger says {computed}",
        """
        SELECT coalesce(c.id, l.gift_card_id) AS id, coalesce(c.balance_amount, 0) AS stored,
               coalesce(l.amount, 0) AS computed
        FROM gift_cards c FULL JOIN (
            SELECT gift_card_id, -sum(amount) AS amount FROM journal_lines WHERE account_id = 2140 GROUP BY gift_card_id
        ) l ON l.gift_card_id = c.id
        WHERE coalesce(c.balance_amount, 0) <> coalesce(l.amount, 0)
        """,
    ),
    "gift_card_payments": (
        "payment {id}: {stored} was paid by gift card, {computed} left the cards for it",
        """
        SELECT p.id, p.amount AS stored, coalesce(-sum(e.amount), 0) AS computed
        FROM payments p LEFT JOIN gift_card_entries e ON e.payment_id = p.id AND e.kind = 'redeem'
        WHERE p.method = 'gift_card'
        GROUP BY p.id HAVING p.amount <> coalesce(-sum(e.amount), 0)
        """,
    ),
    "gift_card_sales": (
        "invoice line {id}: it sold a gift card for {stored}, issued for it was {computed}",
        """
        SELECT l.id, l.amount AS stored, coalesce(c.initial_amount, 0) AS computed
        FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id AND i.kind = 'invoice'
        LEFT JOIN gift_cards c ON c.invoice_line_id = l.id
        WHERE l.kind = 'gift_card' AND l.amount <> coalesce(c.initial_amount, 0)
        """,
    ),
}

# Writes the balance of each card anew from its history.
GIFT_CARD_FIX = f"""
    UPDATE gift_cards c SET balance_amount = h.balance, expired_amount = h.expired
    FROM ({_HISTORY}) h
    WHERE h.id = c.id AND (c.balance_amount, c.expired_amount) <> (h.balance, h.expired)
"""

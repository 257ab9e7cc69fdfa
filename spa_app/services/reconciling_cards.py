"""Proving the treatment cards: by their history, by the ledger, and by what was shared, frozen or handed on.

Checks as in ``reconciliation``: code → (what it means, SQL of (id, what is stored, what its history says)).
"""

_HISTORY = """
    SELECT treatment_id AS id,
           coalesce(sum(sessions) FILTER (
               WHERE kind IN ('purchase', 'adjust', 'transfer_in', 'transfer_out', 'refund')), 0) AS total,
           coalesce(-sum(sessions) FILTER (WHERE kind IN ('punch', 'unpunch', 'forfeit')), 0) AS used,
           coalesce(-sum(sessions) FILTER (WHERE kind IN ('hold', 'release')), 0) AS held,
           coalesce(-sum(sessions) FILTER (WHERE kind IN ('expire', 'reactivate')), 0) AS expired,
           coalesce(sum(value_amount) FILTER (WHERE kind IN ('punch', 'unpunch', 'forfeit')), 0) AS recognised_amount,
           coalesce(sum(value_amount) FILTER (WHERE kind IN ('expire', 'reactivate')), 0) AS expired_amount
    FROM treatment_entries GROUP BY treatment_id
"""
_STATUS = """
    CASE WHEN c.cancelled_at IS NOT NULL THEN 'cancelled'
         WHEN c.frozen_on IS NOT NULL THEN 'frozen'
         WHEN c.used_sessions = c.total_sessions THEN 'completed'
         WHEN c.expiry_date < (now() AT TIME ZONE b.timezone)::date OR c.expired_sessions > 0 THEN 'expired'
         ELSE 'active' END
"""

CARD_CHECKS: dict[str, tuple[str, str]] = {
    "card_counters": (
        "treatment {id}: stored total/used/held/expired sessions {stored}, history says {computed}",
        f"""
        SELECT c.id, concat_ws('/', c.total_sessions, c.used_sessions, c.held_sessions, c.expired_sessions) AS stored,
               concat_ws('/', coalesce(h.total, 0), coalesce(h.used, 0), coalesce(h.held, 0), coalesce(h.expired, 0))
                   AS computed
        FROM customer_treatments c LEFT JOIN ({_HISTORY}) h USING (id)
        WHERE (c.total_sessions, c.used_sessions, c.held_sessions, c.expired_sessions) IS DISTINCT FROM
              (coalesce(h.total, 0), coalesce(h.used, 0), coalesce(h.held, 0), coalesce(h.expired, 0))
        """,
    ),
    "card_amounts": (
        "treatment {id}: stored recognised/expired amounts {stored}, history says {computed}",
        f"""
        SELECT c.id, concat_ws('/', c.recognised_amount, c.expired_amount) AS stored,
               concat_ws('/', coalesce(h.recognised_amount, 0), coalesce(h.expired_amount, 0)) AS computed
        FROM customer_treatments c LEFT JOIN ({_HISTORY}) h USING (id)
        WHERE (c.recognised_amount, c.expired_amount) IS DISTINCT FROM
              (coalesce(h.recognised_amount, 0), coalesce(h.expired_amount, 0))
        """,
    ),
    # From midnight until the nightly job has passed, a card may still be stored as active.
    "card_status": (
        "treatment {id}: stored status {stored}, the facts say {computed}",
        f"""
        SELECT c.id, c.status AS stored, {_STATUS} AS computed
        FROM customer_treatments c JOIN branches b ON b.id = c.branch_id
        WHERE c.status <> {_STATUS}
          AND NOT (c.status = 'active' AND {_STATUS} = 'expired' AND c.expired_sessions = 0
                   AND c.expiry_date >= (now() AT TIME ZONE b.timezone)::date - 2)
        """,
    ),
    "card_liability": (
        "treatment {id}: {stored} is owed on the card, the ledger says {computed}",
        """
        SELECT coalesce(c.id, l.treatment_id) AS id,
               coalesce(c.deferred_amount - c.recognised_amount - c.expired_amount, 0) AS stored,
               coalesce(l.amount, 0) AS computed
        FROM customer_treatments c FULL JOIN (
            SELECT treatment_id, -sum(amount) AS amount FROM journal_lines WHERE account_id = 2110 GROUP BY treatment_id
        ) l ON l.treatment_id = c.id
        WHERE coalesce(c.deferred_amount - c.recognised_amount - c.expired_amount, 0) <> coalesce(l.amount, 0)
        """,
    ),
    "card_transfers": (
        "treatment entry {id}: {stored} sessions and value left the card, {computed} arrived at the other",
        """
        SELECT o.id, concat_ws('/', -o.sessions, o.value_amount) AS stored,
               concat_ws('/', coalesce(i.sessions, 0), coalesce(-i.value_amount, 0)) AS computed
        FROM treatment_entries o LEFT JOIN treatment_entries i ON i.counterpart_id = o.id
        WHERE o.kind = 'transfer_out'
          AND (-o.sessions <> coalesce(i.sessions, 0) OR o.value_amount <> coalesce(-i.value_amount, 0))
        """,
    ),
    # What the cards of a sale were sold for, wherever their sessions went: with what was refunded it is the sale's.
    "card_lots": (
        "invoice line {id}: it sold {stored} without VAT, its cards and their refunds come to {computed}",
        """
        SELECT n.id, n.net AS stored, sum(c.deferred_amount) + coalesce(sum(r.amount), 0) AS computed
        FROM customer_treatments c
        JOIN (SELECT coalesce(l.discounts_id, l.id) AS id, min(l.invoice_id) AS invoice_id,
                     sum(l.amount - l.vat_amount) AS net
              FROM invoice_lines l LEFT JOIN invoice_lines o ON o.id = l.discounts_id
              WHERE coalesce(o.kind, l.kind) = 'plan' GROUP BY 1) n ON n.id = c.invoice_line_id
        JOIN invoices i ON i.id = n.invoice_id AND i.status <> 'void'
        LEFT JOIN (SELECT treatment_id, sum(value_amount) AS amount FROM treatment_entries WHERE kind = 'refund'
                   GROUP BY treatment_id) r ON r.treatment_id = c.id
        GROUP BY n.id, n.net HAVING n.net <> sum(c.deferred_amount) + coalesce(sum(r.amount), 0)
        """,
    ),
    "card_freezes": (
        "treatment {id}: it is {stored}, its history says {computed}",
        """
        SELECT c.id, CASE WHEN c.frozen_on IS NULL THEN 'not frozen' ELSE 'frozen' END AS stored,
               coalesce(e.kind, 'never frozen') AS computed
        FROM customer_treatments c LEFT JOIN (
            SELECT DISTINCT ON (treatment_id) treatment_id, kind FROM treatment_entries
            WHERE kind IN ('freeze', 'unfreeze') ORDER BY treatment_id, id DESC
        ) e ON e.treatment_id = c.id
        WHERE (c.frozen_on IS NOT NULL) <> (coalesce(e.kind, '') = 'freeze')
        """,
    ),
    "card_shares": (
        "treatment {id}: of others' visits {computed} hold its sessions, shared are {stored}",
        """
        SELECT u.id, coalesce(s.session_limit::text, 'none') AS stored, u.used AS computed
        FROM (
            SELECT c.id, b.customer_id, count(*) AS used
            FROM customer_treatments c
            JOIN treatment_entries e ON e.treatment_id = c.id AND e.kind IN ('hold', 'punch', 'forfeit')
                                    AND e.closed_by_id IS NULL
            JOIN booking_items t ON t.id = e.booking_item_id
            JOIN bookings b ON b.id = t.booking_id
            WHERE b.customer_id <> c.customer_id GROUP BY c.id, b.customer_id
        ) u
        LEFT JOIN treatment_shares s
               ON s.treatment_id = u.id AND s.customer_id = u.customer_id AND s.ended_by_id IS NULL
        WHERE u.used > s.session_limit
           OR NOT EXISTS (SELECT FROM treatment_shares a WHERE a.treatment_id = u.id AND a.customer_id = u.customer_id)
        """,
    ),
}

CARD_FIXES = (
    f"""
    UPDATE customer_treatments c
    SET total_sessions = h.total, used_sessions = h.used, held_sessions = h.held, expired_sessions = h.expired,
        recognised_amount = h.recognised_amount, expired_amount = h.expired_amount
    FROM ({_HISTORY}) h
    WHERE h.id = c.id AND (c.total_sessions, c.used_sessions, c.held_sessions, c.expired_sessions, c.recognised_amount,
                           c.expired_amount)
        <> (h.total, h.used, h.held, h.expired, h.recognised_amount, h.expired_amount)
    """,
    f"""
    UPDATE customer_treatments c SET status = {_STATUS}
    FROM branches b WHERE b.id = c.branch_id AND c.status <> {_STATUS}
    """,
)

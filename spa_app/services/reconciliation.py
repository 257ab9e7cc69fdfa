"""Proving the books: every counter and balance is computed anew from its history and compared with what is stored."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from spa_app.extensions import db
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.reconciling_cards import CARD_CHECKS, CARD_FIXES
from spa_app.services.reconciling_gift_cards import GIFT_CARD_CHECKS, GIFT_CARD_FIX
from spa_app.services.transaction import atomic

CREDIT = """
    SELECT customer_id AS id, -sum(amount) AS amount FROM journal_lines WHERE account_id = 2130 GROUP BY customer_id
"""

MOVED = "SELECT stock_id AS id, sum(quantity) AS quantity FROM stock_movements GROUP BY stock_id"

# code → (what it means, SQL of (id, what is stored, what its history says)), one row per fault.
CHECKS: dict[str, tuple[str, str]] = {
    **CARD_CHECKS,
    "payouts": (
        "credit note {id}: {stored} was handed out, the ledger says {computed}",
        """
        SELECT n.id, coalesce(p.amount, 0) AS stored, coalesce(l.amount, 0) AS computed
        FROM invoices n
        LEFT JOIN (SELECT invoice_id, sum(amount) AS amount FROM payouts GROUP BY invoice_id) p ON p.invoice_id = n.id
        LEFT JOIN (
            SELECT e.invoice_id, sum(l.amount) AS amount
            FROM journal_entries e JOIN journal_lines l ON l.entry_id = e.id AND l.account_id = 2130
            WHERE e.event = 'credit_paid_out' GROUP BY e.invoice_id
        ) l ON l.invoice_id = n.id
        WHERE n.kind = 'credit_note' AND coalesce(p.amount, 0) <> coalesce(l.amount, 0)
        """,
    ),
    # Until refunds of a part, what was not paid was written off with a whole invoice, and counts as not credited.
    "invoice_credited": (
        "invoice {id}: {stored} is stored as credited, its credit notes say {computed}",
        """
        SELECT i.id, i.credited_amount AS stored, coalesce(n.amount, 0) AS computed
        FROM invoices i
        LEFT JOIN (SELECT corrects_id, -sum(total_amount) AS amount FROM invoices WHERE status <> 'void'
                   GROUP BY corrects_id) n ON n.corrects_id = i.id
        WHERE i.kind = 'invoice' AND i.credited_amount <> coalesce(n.amount, 0)
          AND NOT (i.is_credited AND i.credited_amount = i.paid_amount AND n.amount = i.total_amount)
        """,
    ),
    "lines_credited": (
        "invoice line {id}: {stored} was sold, of which {computed} came back",
        """
        SELECT l.id, concat_ws('/', l.amount, l.vat_amount) AS stored, concat_ws('/', b.amount, b.vat) AS computed
        FROM invoice_lines l
        JOIN (SELECT b.corrects_id, -sum(b.amount) AS amount, -sum(b.vat_amount) AS vat
              FROM invoice_lines b JOIN invoices n ON n.id = b.invoice_id AND n.status <> 'void'
              WHERE b.corrects_id IS NOT NULL GROUP BY b.corrects_id) b ON b.corrects_id = l.id
        WHERE b.amount * sign(l.amount) NOT BETWEEN 0 AND abs(l.amount)
           OR b.vat * sign(l.amount) NOT BETWEEN 0 AND abs(l.vat_amount)
           OR (b.amount = l.amount) > (b.vat = l.vat_amount)
        """,
    ),
    "payments_returned": (
        "payment {id}: it brought {stored}, of which {computed} went back",
        """
        SELECT p.id, p.amount AS stored, sum(o.amount) AS computed
        FROM payments p JOIN payouts o ON o.payment_id = p.id
        GROUP BY p.id HAVING sum(o.amount) > p.amount
        """,
    ),
    "journal_balance": (
        "journal entry {id}: its lines sum to {stored}, not {computed}",
        """
        SELECT e.id, coalesce(sum(l.amount), 0) AS stored, 0 AS computed
        FROM journal_entries e LEFT JOIN journal_lines l ON l.entry_id = e.id
        GROUP BY e.id HAVING coalesce(sum(l.amount), 0) <> 0 OR count(l.id) < 2
        """,
    ),
    "invoice_sums": (
        "invoice {id}: stored total/VAT/paid {stored}, lines and payments say {computed}",
        """
        SELECT i.id, concat_ws('/', i.total_amount, i.vat_amount, i.paid_amount) AS stored,
               concat_ws('/', coalesce(l.total, 0), coalesce(l.vat, 0), coalesce(p.paid, 0)) AS computed
        FROM invoices i
        LEFT JOIN (SELECT invoice_id, sum(amount) AS total, sum(vat_amount) AS vat FROM invoice_lines GROUP BY 1) l
               ON l.invoice_id = i.id
        LEFT JOIN (SELECT invoice_id, sum(amount) AS paid FROM payments GROUP BY 1) p ON p.invoice_id = i.id
        WHERE (i.total_amount, i.vat_amount, i.paid_amount) IS DISTINCT FROM
              (coalesce(l.total, 0), coalesce(l.vat, 0), coalesce(p.paid, 0))
        """,
    ),
    "invoice_receivable": (
        "invoice {id}: {stored} is left to pay, the ledger says {computed}",
        """
        SELECT i.id, i.due AS stored, coalesce(l.amount, 0) AS computed
        FROM (
            SELECT i.id, CASE WHEN i.status = 'void' THEN 0
                              WHEN i.treatment_id IS NOT NULL THEN 0
                              WHEN i.kind = 'credit_note' AND o.is_credited THEN o.paid_amount - o.total_amount
                              WHEN i.kind = 'credit_note' THEN 0
                              ELSE i.total_amount - i.paid_amount END AS due
            FROM invoices i LEFT JOIN invoices o ON o.id = i.corrects_id
        ) i
        LEFT JOIN (
            SELECT e.invoice_id, sum(l.amount) AS amount
            FROM journal_lines l JOIN journal_entries e ON e.id = l.entry_id
            WHERE l.account_id = 1310 GROUP BY e.invoice_id
        ) l ON l.invoice_id = i.id
        WHERE i.due <> coalesce(l.amount, 0)
        """,
    ),
    "invoice_numbers": (
        "branch {id}: {stored} invoice numbers were given out, {computed} invoices have one",
        """
        SELECT c.branch_id AS id, c.last_number AS stored, count(i.id) AS computed
        FROM invoice_counters c JOIN branches b ON b.id = c.branch_id
        LEFT JOIN invoices i ON i.branch_id = c.branch_id AND i.number LIKE b.code || '-' || c.year || '-%'
        GROUP BY c.branch_id, c.year, c.last_number HAVING c.last_number <> count(i.id)
        """,
    ),
    "store_credit": (
        "customer {id}: stored store credit {stored}, the ledger says {computed}",
        f"""
        SELECT c.id, c.credit_amount AS stored, coalesce(l.amount, 0) AS computed
        FROM customers c LEFT JOIN ({CREDIT}) l USING (id)
        WHERE c.credit_amount <> coalesce(l.amount, 0)
        """,
    ),
    "deposits": (
        "deposit {id}: stored balance {stored}, its history and the ledger say {computed}",
        """
        SELECT d.id, d.balance_amount AS stored, concat_ws('/', h.amount, l.amount) AS computed
        FROM deposits d
        LEFT JOIN LATERAL (SELECT coalesce(sum(amount), 0) AS amount FROM deposit_entries WHERE deposit_id = d.id) h
            ON true
        LEFT JOIN LATERAL (SELECT coalesce(-sum(amount), 0) AS amount FROM journal_lines
                           WHERE deposit_id = d.id AND account_id = 2160) l ON true
        WHERE d.balance_amount <> h.amount OR d.balance_amount <> l.amount
        """,
    ),
    "promotion_uses": (
        "promotion {id}: stored as used {stored} times, on {computed} bills",
        """
        SELECT p.id, p.used_count AS stored, count(u.id) AS computed
        FROM promotions p LEFT JOIN promotion_uses u ON u.promotion_id = p.id AND u.released_at IS NULL
        GROUP BY p.id HAVING p.used_count <> count(u.id)
        """,
    ),
    "promotion_bills": (
        "promotion use {id}: it stands on {stored} invoice",
        """
        SELECT u.id, CASE WHEN i.status = 'void' THEN 'a void' ELSE 'a credited' END AS stored, '' AS computed
        FROM promotion_uses u JOIN invoices i ON i.id = u.invoice_id
        WHERE u.released_at IS NULL AND (i.status = 'void' OR i.is_credited)
        """,
    ),
    **GIFT_CARD_CHECKS,
    "visit_sessions": (
        "booking item {id}: the visit has live holds/punches {stored}, its status asks for {computed}",
        """
        SELECT i.id, concat_ws('/', coalesce(e.holds, 0), coalesce(e.punches, 0)) AS stored,
               CASE WHEN i.cancelled_at IS NOT NULL THEN '0/0'
                    WHEN i.booking_status IN ('pending', 'confirmed', 'in_progress') THEN '1/0'
                    WHEN i.booking_status = 'completed' THEN '0/1' ELSE '0/0 or 0/1' END AS computed
        FROM booking_items i
        LEFT JOIN (
            SELECT booking_item_id,
                   count(*) FILTER (WHERE kind = 'hold') AS holds,
                   count(*) FILTER (WHERE kind IN ('punch', 'forfeit')) AS punches
            FROM treatment_entries WHERE closed_by_id IS NULL GROUP BY booking_item_id
        ) e ON e.booking_item_id = i.id
        WHERE i.treatment_id IS NOT NULL AND NOT CASE
            WHEN i.cancelled_at IS NOT NULL THEN coalesce(e.holds, 0) + coalesce(e.punches, 0) = 0
            WHEN i.booking_status IN ('pending', 'confirmed', 'in_progress')
                THEN coalesce(e.holds, 0) = 1 AND coalesce(e.punches, 0) = 0
            WHEN i.booking_status = 'completed' THEN coalesce(e.holds, 0) = 0 AND coalesce(e.punches, 0) = 1
            ELSE coalesce(e.holds, 0) = 0 AND coalesce(e.punches, 0) <= 1 END
        """,
    ),
    # One that was refunded whole still bills its visit.
    "visit_invoice": (
        "booking {id}: completed with {stored} services to pay, but {computed} live invoices",
        """
        SELECT b.id, count(DISTINCT i.id) AS stored, count(DISTINCT v.id) FILTER (WHERE NOT v.is_credited) AS computed
        FROM bookings b
        JOIN booking_items i ON i.booking_id = b.id AND i.treatment_id IS NULL AND i.cancelled_at IS NULL
        LEFT JOIN invoices v ON v.booking_id = b.id AND v.kind = 'invoice' AND v.status <> 'void'
            AND (NOT v.is_credited OR EXISTS (
                SELECT FROM invoices n JOIN journal_entries e ON e.invoice_id = n.id
                WHERE n.corrects_id = v.id AND e.event = 'invoice_refunded'))
        WHERE b.status = 'completed'
        GROUP BY b.id
        HAVING count(DISTINCT v.id) = 0 OR count(DISTINCT v.id) FILTER (WHERE NOT v.is_credited) > 1
        """,
    ),
    "waitlist_booked": (
        "waitlist entry {id}: stored as {stored}, its visits say {computed}",
        """
        SELECT w.id, w.status AS stored,
               CASE WHEN count(b.id) FILTER (WHERE b.customer_id <> w.customer_id OR b.branch_id <> w.branch_id) > 0
                    THEN 'another customer or branch'
                    WHEN w.status = 'booked' THEN 'not booked' ELSE 'booked' END AS computed
        FROM waitlist_entries w LEFT JOIN bookings b ON b.waitlist_entry_id = w.id
        GROUP BY w.id
        HAVING count(b.id) FILTER (WHERE b.customer_id <> w.customer_id OR b.branch_id <> w.branch_id) > 0
            OR (w.status = 'booked' AND count(b.id) FILTER (WHERE b.held_until IS NULL) = 0)
            OR (w.status <> 'booked' AND count(b.id) FILTER (
                    WHERE b.held_until IS NULL AND b.status NOT IN ('cancelled', 'no_show')) > 0)
        """,
    ),
    "visit_fee": (
        "booking {id}: {stored} fees of a policy are charged, but it is {computed}",
        """
        SELECT b.id, count(DISTINCT v.id) AS stored, b.status AS computed
        FROM bookings b
        JOIN invoices v ON v.booking_id = b.id AND v.kind = 'invoice' AND v.status <> 'void' AND NOT v.is_credited
        JOIN invoice_lines l ON l.invoice_id = v.id AND l.kind = 'fee'
        WHERE b.status NOT IN ('cancelled', 'no_show')
        GROUP BY b.id
        """,
    ),
    "drawer_expected": (
        "drawer session {id}: {stored} was expected in it, its cash comes to {computed}",
        """
        SELECT s.id, s.expected_amount AS stored, s.opening_float_amount + coalesce(c.amount, 0) AS computed
        FROM drawer_sessions s LEFT JOIN (
            SELECT drawer_session_id AS id, sum(amount) AS amount FROM (
                SELECT drawer_session_id, amount FROM payments WHERE drawer_session_id IS NOT NULL
                UNION ALL SELECT drawer_session_id, -amount FROM payouts WHERE drawer_session_id IS NOT NULL
                UNION ALL SELECT drawer_session_id, amount FROM deposits WHERE drawer_session_id IS NOT NULL
                UNION ALL SELECT drawer_session_id, amount FROM deposit_entries WHERE drawer_session_id IS NOT NULL
                UNION ALL SELECT drawer_session_id, CASE kind WHEN 'paid_in' THEN amount ELSE -amount END
                FROM cash_movements WHERE kind <> 'closing_drop'
            ) m GROUP BY drawer_session_id
        ) c USING (id)
        WHERE s.closed_at IS NOT NULL
          AND s.expected_amount IS DISTINCT FROM s.opening_float_amount + coalesce(c.amount, 0)
        """,
    ),
    # What drawers moved and what they were over or short, as the ledger has it.
    "drawer_ledger": (
        "drawer session {id}: besides payments {stored} went in or out of it, the ledger says {computed}",
        """
        SELECT s.id, coalesce(m.amount, 0) + coalesce(s.variance_amount, 0) + coalesce(s.opening_variance_amount, 0)
                   AS stored,
               coalesce(l.amount, 0) AS computed
        FROM drawer_sessions s
        LEFT JOIN (SELECT drawer_session_id AS id, sum(CASE kind WHEN 'paid_in' THEN amount ELSE -amount END) AS amount
                   FROM cash_movements GROUP BY drawer_session_id) m ON m.id = s.id
        LEFT JOIN (SELECT e.drawer_session_id AS id, sum(l.amount) AS amount
                   FROM journal_entries e JOIN journal_lines l ON l.entry_id = e.id AND l.account_id = 1110
                   WHERE e.drawer_session_id IS NOT NULL GROUP BY e.drawer_session_id) l ON l.id = s.id
        WHERE coalesce(m.amount, 0) + coalesce(s.variance_amount, 0) + coalesce(s.opening_variance_amount, 0)
              <> coalesce(l.amount, 0)
        """,
    ),
    "day_takings": (
        "Z-report {id}: it has takings of {stored}, the rows of its day come to {computed}",
        """
        SELECT c.id, c.totals -> 'takings' AS stored, coalesce(t.amounts, '{}') AS computed
        FROM day_closes c LEFT JOIN (
            SELECT branch_id, posted_on, jsonb_object_agg(method, amount) AS amounts FROM (
                SELECT e.branch_id, e.posted_on, p.method, sum(p.amount) AS amount
                FROM journal_entries e JOIN payments p ON p.id = e.payment_id
                WHERE e.event = 'payment_taken' GROUP BY e.branch_id, e.posted_on, p.method
            ) m GROUP BY branch_id, posted_on
        ) t ON t.branch_id = c.branch_id AND t.posted_on = c.closed_on
        WHERE c.reopened_at IS NULL AND c.totals -> 'takings' <> coalesce(t.amounts, '{}')
        """,
    ),
    # A discount is on a line of the same invoice and leaves it at zero or above, with the VAT that is in what is left.
    "discounts": (
        "invoice line {id}: with its discounts it comes to {stored} (amount/VAT), which should be {computed}",
        """
        SELECT n.id, concat_ws('/', n.amount + d.amount, n.vat_amount + d.vat_amount) AS stored,
               concat_ws('/', greatest(n.amount + d.amount, 0),
                         round(n.vat_rate_bp * (n.amount + d.amount) / (10000.0 + n.vat_rate_bp))) AS computed
        FROM invoice_lines n JOIN invoices i ON i.id = n.invoice_id AND i.kind = 'invoice'
        JOIN (SELECT discounts_id, sum(amount) AS amount, sum(vat_amount) AS vat_amount, max(amount) AS least,
                     min(invoice_id) AS first, max(invoice_id) AS last
              FROM invoice_lines WHERE discounts_id IS NOT NULL GROUP BY discounts_id) d ON d.discounts_id = n.id
        WHERE n.amount + d.amount < 0 OR d.least >= 0 OR (d.first, d.last) <> (n.invoice_id, n.invoice_id)
           OR n.vat_amount + d.vat_amount
              <> round(n.vat_rate_bp * (n.amount + d.amount) / (10000.0 + n.vat_rate_bp))
        """,
    ),
    "stock": (
        "product stock {id}: {stored} on hand, its movements say {computed}",
        f"""
        SELECT s.id, s.on_hand AS stored, coalesce(m.quantity, 0) AS computed
        FROM product_stocks s LEFT JOIN ({MOVED}) m USING (id)
        WHERE s.on_hand <> coalesce(m.quantity, 0)
        """,
    ),
    "stock_sold": (
        "invoice line {id}: {stored} pieces left the stock for it, its invoice says {computed}",
        """
        SELECT l.id, coalesce(m.quantity, 0) AS stored,
               CASE WHEN i.status = 'void' OR i.is_credited THEN '0' ELSE 'up to ' || l.quantity END AS computed
        FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id AND i.kind = 'invoice'
        LEFT JOIN (SELECT invoice_line_id, -sum(quantity) AS quantity FROM stock_movements
                   WHERE invoice_line_id IS NOT NULL GROUP BY 1) m ON m.invoice_line_id = l.id
        WHERE l.kind = 'product' AND CASE
            WHEN i.status = 'void' OR i.is_credited THEN coalesce(m.quantity, 0) <> 0
            WHEN EXISTS (SELECT FROM invoices n WHERE n.corrects_id = i.id AND n.status <> 'void')
                THEN coalesce(m.quantity, 0) NOT BETWEEN 0 AND l.quantity
            ELSE coalesce(m.quantity, 0) <> l.quantity END
        """,
    ),
    "tips_payable": (
        "branch {id}: tips of {stored} stand on its invoices, the ledger says {computed}",
        """
        SELECT b.id, coalesce(f.amount, 0) AS stored, coalesce(r.amount, 0) AS computed
        FROM branches b
        LEFT JOIN (SELECT v.branch_id, sum(l.amount) AS amount
                   FROM invoice_lines l JOIN invoices v ON v.id = l.invoice_id
                   WHERE l.kind = 'tip' AND v.status <> 'void' GROUP BY v.branch_id) f ON f.branch_id = b.id
        LEFT JOIN (SELECT e.branch_id, -sum(l.amount) AS amount
                   FROM journal_lines l JOIN journal_entries e ON e.id = l.entry_id
                   WHERE l.account_id = 2150 GROUP BY e.branch_id) r ON r.branch_id = b.id
        WHERE coalesce(f.amount, 0) <> coalesce(r.amount, 0)
        """,
    ),
    "fee_revenue": (
        "branch {id}: fees of {stored} stand on its invoices, the ledger says {computed}",
        """
        SELECT b.id, coalesce(f.amount, 0) AS stored, coalesce(r.amount, 0) AS computed
        FROM branches b
        LEFT JOIN (SELECT v.branch_id, sum(l.amount - l.vat_amount) AS amount
                   FROM invoice_lines l JOIN invoices v ON v.id = l.invoice_id
                   WHERE l.kind = 'fee' AND v.status <> 'void' GROUP BY v.branch_id) f ON f.branch_id = b.id
        LEFT JOIN (SELECT e.branch_id, -sum(l.amount) AS amount
                   FROM journal_lines l JOIN journal_entries e ON e.id = l.entry_id
                   WHERE l.account_id = 4130 GROUP BY e.branch_id) r ON r.branch_id = b.id
        WHERE coalesce(f.amount, 0) <> coalesce(r.amount, 0)
        """,
    ),
}

CACHES = (
    "card_counters",
    "card_amounts",
    "card_status",
    "invoice_sums",
    "invoice_credited",
    "store_credit",
    "stock",
    "gift_card_balance",
)  # what FIXES write anew
FIXES = (
    *CARD_FIXES,
    """
    UPDATE invoices i
    SET paid_amount = p.paid,
        status = CASE WHEN p.paid = i.total_amount THEN 'paid' WHEN p.paid > 0 THEN 'partly_paid' ELSE 'open' END
    FROM (SELECT i.id, coalesce(sum(p.amount), 0) AS paid
          FROM invoices i LEFT JOIN payments p ON p.invoice_id = i.id GROUP BY i.id) p
    WHERE p.id = i.id AND i.kind = 'invoice' AND i.status <> 'void' AND i.paid_amount <> p.paid
    """,
    """
    UPDATE invoices i
    SET credited_amount = n.amount, is_credited = n.amount = i.total_amount
    FROM (SELECT i.id, coalesce(-sum(n.total_amount), 0) AS amount
          FROM invoices i LEFT JOIN invoices n ON n.corrects_id = i.id AND n.status <> 'void' GROUP BY i.id) n
    WHERE n.id = i.id AND i.kind = 'invoice' AND i.credited_amount <> n.amount
      AND NOT (i.is_credited AND i.credited_amount = i.paid_amount AND n.amount = i.total_amount)
    """,
    f"""
    UPDATE customers c SET credit_amount = coalesce(l.amount, 0)
    FROM customers o LEFT JOIN ({CREDIT}) l USING (id)
    WHERE o.id = c.id AND c.credit_amount <> coalesce(l.amount, 0)
    """,
    f"""
    UPDATE product_stocks s SET on_hand = coalesce(m.quantity, 0)
    FROM product_stocks o LEFT JOIN ({MOVED}) m USING (id)
    WHERE o.id = s.id AND s.on_hand <> coalesce(m.quantity, 0)
    """,
    GIFT_CARD_FIX,
)


@dataclass(frozen=True)
class Fault:
    """A stored truth that disagrees with its history, as one English line for the log."""

    code: str
    entity_id: int
    text: str


def list_faults() -> list[Fault]:
    """Compare everything, in one snapshot, and return each disagreement. Changes and locks nothing."""
    faults = []
    with db.engine.connect().execution_options(isolation_level="REPEATABLE READ") as snapshot:
        snapshot.execute(text("SET LOCAL statement_timeout = 0"))
        for code, (wording, query) in CHECKS.items():
            for row in snapshot.execute(text(query)):
                said = wording.format(id=row.id, stored=row.stored, computed=row.computed)
                faults.append(Fault(code, row.id, f"{code}: {said}"))
    return faults


def fix_caches(faults: Sequence[Fault], *, actor: Actor) -> None:
    """Write every cached counter, amount and status anew from its history, which is never touched.

    Those of ``faults`` that are a cache's are audited. Locks cards, invoices, gift cards, customers and stocks against
    every write, so that no desk comes between a history and what is written from it. Raises :class:`ConflictError` when
    it has to wait for longer than 3 s.
    """
    with atomic() as session:
        session.execute(text("SET LOCAL statement_timeout = 0"))
        tables = "customer_treatments, invoices, gift_cards, customers, product_stocks"
        session.execute(text(f"LOCK TABLE {tables} IN EXCLUSIVE MODE"))
        for fix in FIXES:
            session.execute(text(fix))
        for fault in faults:
            if fault.code in CACHES:
                audit.record(
                    "cache_fixed",
                    entity=fault.code,
                    entity_id=fault.entity_id,
                    actor=actor,
                    after={"fault": fault.text},
                )

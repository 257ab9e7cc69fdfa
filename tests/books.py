"""What must be true of the stored books at any moment between two transactions, worked out anew from the raw rows.

Independent of the services on purpose: plain SQL over the tables, so that a fault there is not a fault here too.
"""

from sqlalchemy import text

from spa_app import clock
from spa_app.extensions import db

# Each query returns a row per fault.
RULES = {
    "the counters of a card are not its history": """
        SELECT c.id, c.total_sessions, c.used_sessions, c.held_sessions, c.expired_sessions, h.*
        FROM customer_treatments c LEFT JOIN LATERAL (
            SELECT coalesce(sum(sessions) FILTER (
                       WHERE kind IN ('purchase', 'adjust', 'transfer_in', 'transfer_out', 'refund')), 0) AS total,
                   coalesce(-sum(sessions) FILTER (WHERE kind IN ('punch', 'unpunch', 'forfeit')), 0) AS used,
                   coalesce(-sum(sessions) FILTER (WHERE kind IN ('hold', 'release')), 0) AS held,
                   coalesce(-sum(sessions) FILTER (WHERE kind IN ('expire', 'reactivate')), 0) AS expired,
                   coalesce(sum(value_amount) FILTER (WHERE kind IN ('punch', 'unpunch', 'forfeit')), 0) AS recognised,
                   coalesce(sum(value_amount) FILTER (WHERE kind IN ('expire', 'reactivate')), 0) AS gone
            FROM treatment_entries e WHERE e.treatment_id = c.id) h ON true
        WHERE (c.total_sessions, c.used_sessions, c.held_sessions, c.expired_sessions, c.recognised_amount,
               c.expired_amount) <> (h.total, h.used, h.held, h.expired, h.recognised, h.gone)
           OR c.used_sessions < 0 OR c.held_sessions < 0
           OR c.used_sessions + c.held_sessions + c.expired_sessions > c.total_sessions""",
    "a card's liability is not what the ledger says": """
        SELECT c.id, c.deferred_amount, c.recognised_amount, c.expired_amount, l.owed
        FROM customer_treatments c LEFT JOIN LATERAL (
            SELECT coalesce(-sum(amount), 0) AS owed FROM journal_lines
            WHERE account_id = 2110 AND treatment_id = c.id) l ON true
        WHERE c.deferred_amount - c.recognised_amount - c.expired_amount <> l.owed OR l.owed < 0""",
    "a card with nothing left is still owed": """
        SELECT id FROM customer_treatments
        WHERE used_sessions + expired_sessions = total_sessions
          AND deferred_amount <> recognised_amount + expired_amount""",
    "deferred revenue names no card, store credit no customer, a gift card or deposit not itself": """
        SELECT id FROM journal_lines WHERE (account_id = 2110) <> (treatment_id IS NOT NULL)
            OR (account_id = 2130) <> (customer_id IS NOT NULL) OR (account_id = 2140) <> (gift_card_id IS NOT NULL)
            OR (account_id = 2160) <> (deposit_id IS NOT NULL)""",
    "what is on a gift card is not its history, not what the ledger says, or below zero": """
        SELECT c.id, c.balance_amount, c.expired_amount, h.*, l.owed
        FROM gift_cards c
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(amount), 0) AS balance,
                   coalesce(-sum(amount) FILTER (WHERE kind IN ('expire', 'reactivate')), 0) AS expired,
                   coalesce(sum(amount) FILTER (WHERE kind = 'issue'), 0) AS issued
            FROM gift_card_entries WHERE gift_card_id = c.id) h ON true
        LEFT JOIN LATERAL (
            SELECT coalesce(-sum(amount), 0) AS owed FROM journal_lines
            WHERE account_id = 2140 AND gift_card_id = c.id) l ON true
        WHERE (c.balance_amount, c.balance_amount, c.expired_amount, c.initial_amount)
              <> (h.balance, l.owed, h.expired, h.issued)
           OR c.balance_amount < 0 OR c.expired_amount < 0 OR (c.cancelled_at IS NOT NULL AND c.balance_amount <> 0)""",
    "what gift cards paid, or got back, is not what left or came onto them": """
        SELECT p.id FROM payments p LEFT JOIN gift_card_entries e ON e.payment_id = p.id
        GROUP BY p.id
        HAVING coalesce(-sum(e.amount) FILTER (WHERE e.kind = 'redeem'), 0)
               <> CASE p.method WHEN 'gift_card' THEN p.amount ELSE 0 END
            OR coalesce(sum(e.amount) FILTER (WHERE e.kind = 'refund'), 0) > p.amount""",
    "a gift card that nobody paid for was used, or one is sold without a line or twice": """
        SELECT c.id FROM gift_cards c
        JOIN invoice_lines n ON n.id = c.invoice_line_id JOIN invoices i ON i.id = n.invoice_id
        WHERE n.kind <> 'gift_card' OR n.amount <> c.initial_amount OR n.vat_amount <> 0
           OR (i.status <> 'paid' AND EXISTS (
               SELECT FROM gift_card_entries e WHERE e.gift_card_id = c.id AND e.kind NOT IN ('issue', 'cancel')))
           OR (i.status = 'void' AND c.cancelled_at IS NULL)
        UNION ALL SELECT n.id FROM invoice_lines n JOIN invoices i ON i.id = n.invoice_id AND i.kind = 'invoice'
        WHERE n.kind = 'gift_card' AND 1 <> (SELECT count(*) FROM gift_cards c WHERE c.invoice_line_id = n.id)""",
    "a deposit is not what its history and the ledger say": """
        SELECT d.id, d.balance_amount FROM deposits d
        WHERE d.balance_amount <> (SELECT sum(amount) FROM deposit_entries WHERE deposit_id = d.id)
           OR d.balance_amount <> (SELECT -sum(amount) FROM journal_lines WHERE deposit_id = d.id)
           OR d.balance_amount < 0""",
    "what deposits paid is not what payments say": """
        SELECT p.id, p.amount FROM payments p LEFT JOIN LATERAL (
            SELECT coalesce(-sum(amount), 0) AS amount FROM deposit_entries WHERE payment_id = p.id) e ON true
        WHERE e.amount <> CASE p.method WHEN 'deposit' THEN p.amount ELSE 0 END""",
    "a journal entry does not balance": """
        SELECT e.id FROM journal_entries e LEFT JOIN journal_lines l ON l.entry_id = e.id
        GROUP BY e.id HAVING coalesce(sum(l.amount), 1) <> 0 OR count(l.id) < 2""",
    "recognised revenue is not what left the cards": """
        SELECT e.id, e.value_amount, l.amount FROM treatment_entries e
        LEFT JOIN journal_entries j ON j.treatment_entry_id = e.id
        LEFT JOIN journal_lines l ON l.entry_id = j.id AND l.account_id = 2110
        WHERE e.kind IN ('punch', 'unpunch', 'forfeit', 'expire', 'reactivate')
          AND e.value_amount <> coalesce(l.amount, 0)""",
    "an invoice is not its lines and payments": """
        SELECT i.id FROM invoices i
        WHERE i.total_amount <> (SELECT coalesce(sum(amount), 0) FROM invoice_lines WHERE invoice_id = i.id)
           OR i.vat_amount <> (SELECT coalesce(sum(vat_amount), 0) FROM invoice_lines WHERE invoice_id = i.id)
           OR i.paid_amount <> (SELECT coalesce(sum(amount), 0) FROM payments WHERE invoice_id = i.id)
           OR (i.kind = 'invoice' AND i.paid_amount > i.total_amount)
           OR (i.kind = 'invoice' AND i.status <> 'void' AND i.status <> CASE
                WHEN i.paid_amount = i.total_amount THEN 'paid' WHEN i.paid_amount > 0 THEN 'partly_paid'
                ELSE 'open' END)""",
    "what is due on an invoice is not its receivable": """
        SELECT i.id, r.amount FROM invoices i LEFT JOIN LATERAL (
            SELECT coalesce(sum(l.amount), 0) AS amount FROM journal_entries e JOIN journal_lines l ON l.entry_id = e.id
            WHERE l.account_id = 1310
              AND e.invoice_id IN (SELECT id FROM invoices n WHERE n.id = i.id OR n.corrects_id = i.id)) r ON true
        WHERE i.kind = 'invoice' AND r.amount <> CASE WHEN i.status = 'void' OR i.is_credited THEN 0
                                                      ELSE i.total_amount - i.paid_amount END""",
    "VAT in the ledger is not that of the invoices": """
        SELECT l.amount, i.amount
        FROM (SELECT coalesce(-sum(amount), 0) AS amount FROM journal_lines WHERE account_id = 2120) l,
             (SELECT coalesce(sum(vat_amount), 0) AS amount FROM invoices WHERE status <> 'void') i
        WHERE l.amount <> i.amount""",
    "money in the ledger is not that of the payments": """
        SELECT m.method FROM (VALUES ('cash', 1110), ('card', 1120), ('bank_transfer', 1130), ('e_wallet', 1140))
            AS m (method, account)
        WHERE (SELECT coalesce(sum(amount), 0) FROM payments p WHERE p.method = m.method)
           - (SELECT coalesce(sum(amount), 0) FROM payouts p WHERE p.method = m.method)
           + CASE m.method WHEN 'cash' THEN (
                 SELECT coalesce(sum(CASE kind WHEN 'paid_in' THEN amount ELSE -amount END), 0) FROM cash_movements
             ) + (SELECT coalesce(sum(coalesce(variance_amount, 0) + coalesce(opening_variance_amount, 0)), 0)
                  FROM drawer_sessions) ELSE 0 END
           + (SELECT coalesce(sum(amount), 0) FROM deposits d WHERE d.method = m.method)
           + (SELECT coalesce(sum(amount), 0) FROM deposit_entries e WHERE e.method = m.method)
           <> (SELECT coalesce(sum(amount), 0) FROM journal_lines l WHERE l.account_id = m.account)""",
    "what a closed drawer should hold is not its cash": """
        SELECT s.id, s.expected_amount FROM drawer_sessions s WHERE s.closed_at IS NOT NULL
          AND s.expected_amount IS DISTINCT FROM s.opening_float_amount
            + (SELECT coalesce(sum(amount), 0) FROM payments WHERE drawer_session_id = s.id)
            - (SELECT coalesce(sum(amount), 0) FROM payouts WHERE drawer_session_id = s.id)
            + (SELECT coalesce(sum(amount), 0) FROM deposits WHERE drawer_session_id = s.id)
            + (SELECT coalesce(sum(amount), 0) FROM deposit_entries WHERE drawer_session_id = s.id)
            + (SELECT coalesce(sum(CASE kind WHEN 'paid_in' THEN amount WHEN 'closing_drop' THEN 0 ELSE -amount END), 0)
               FROM cash_movements WHERE drawer_session_id = s.id)""",
    "a drawer is open twice, or was closed twice": """
        SELECT drawer_id FROM drawer_sessions WHERE closed_at IS NULL GROUP BY drawer_id HAVING count(*) > 1
        UNION ALL SELECT entity_id FROM audit_log WHERE action = 'drawer_closed' GROUP BY entity_id
        HAVING count(*) > 1""",
    "cash lies in a drawer of another branch": """
        SELECT p.id FROM payments p JOIN drawer_sessions s ON s.id = p.drawer_session_id
        JOIN drawers d ON d.id = s.drawer_id WHERE d.branch_id <> p.branch_id""",
    "the takings of a closed day are not its payments": """
        SELECT c.id, c.totals -> 'takings', t.amounts FROM day_closes c CROSS JOIN LATERAL (
            SELECT coalesce(jsonb_object_agg(method, amount), '{}') AS amounts FROM (
                SELECT p.method, sum(p.amount) AS amount FROM journal_entries e JOIN payments p ON p.id = e.payment_id
                WHERE e.branch_id = c.branch_id AND e.posted_on = c.closed_on AND e.event = 'payment_taken'
                GROUP BY p.method) s) t
        WHERE c.reopened_at IS NULL AND t.amounts <> c.totals -> 'takings'""",
    "a day is closed twice, or was reopened twice": """
        SELECT branch_id FROM day_closes WHERE reopened_at IS NULL GROUP BY branch_id, closed_on HAVING count(*) > 1
        UNION ALL SELECT entity_id FROM audit_log WHERE action = 'day_reopened' GROUP BY entity_id
        HAVING count(*) > 1""",
    "a Z number is missing": """
        SELECT branch_id FROM day_closes GROUP BY branch_id HAVING max(z_number) <> count(*)""",
    "a customer's store credit is not what the ledger says": """
        SELECT c.id, c.credit_amount FROM customers c WHERE c.credit_amount <> (
            SELECT coalesce(-sum(amount), 0) FROM journal_lines WHERE account_id = 2130 AND customer_id = c.id)
            OR c.credit_amount < 0""",
    "an invoice number is missing": """
        SELECT c.branch_id, c.year, c.last_number, count(i.id)
        FROM invoice_counters c JOIN branches b ON b.id = c.branch_id
        LEFT JOIN invoices i ON i.branch_id = c.branch_id AND i.number LIKE b.code || '-' || c.year || '-%'
        GROUP BY c.branch_id, c.year
        HAVING count(i.id) <> c.last_number OR max(right(i.number, 6)::int) <> c.last_number""",
    "a promotion is used more or less often than its live bills say, or than it allows": """
        SELECT p.id, p.used_count, count(u.id) FROM promotions p
        LEFT JOIN (promotion_uses u JOIN invoices i ON i.id = u.invoice_id AND i.status <> 'void' AND NOT i.is_credited)
            ON u.promotion_id = p.id AND u.released_at IS NULL
        GROUP BY p.id HAVING p.used_count <> count(u.id) OR count(u.id) > p.max_uses""",
    "a customer uses a promotion more often than it allows": """
        SELECT u.promotion_id, u.customer_id FROM promotion_uses u JOIN promotions p ON p.id = u.promotion_id
        WHERE u.released_at IS NULL GROUP BY 1, 2 HAVING count(*) > min(p.max_uses_per_customer)""",
    "a visit has two live invoices": """
        SELECT booking_id FROM invoices WHERE kind = 'invoice' AND status <> 'void' AND NOT is_credited
            AND booking_id IS NOT NULL GROUP BY booking_id HAVING count(*) > 1""",
    "a visit's invoice does not go with its status": """
        SELECT b.id, b.status FROM bookings b
        CROSS JOIN LATERAL (
            SELECT b.status = 'completed' AND EXISTS (
                SELECT FROM booking_items t
                WHERE t.booking_id = b.id AND t.treatment_id IS NULL AND t.cancelled_at IS NULL) AS bills) w
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE NOT i.is_credited AND l.kind = 'service') AS live,
                   count(*) FILTER (WHERE NOT i.is_credited AND l.kind <> 'fee') AS billed,
                   count(*) FILTER (WHERE NOT i.is_credited AND l.kind = 'fee') AS fees,
                   -- A refund leaves the visit as it is.
                   count(*) FILTER (WHERE i.is_credited AND EXISTS (
                       SELECT FROM invoices n JOIN journal_entries e ON e.invoice_id = n.id
                       WHERE n.corrects_id = i.id AND e.event = 'invoice_refunded')) AS refunded
            FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id
            WHERE i.booking_id = b.id AND i.kind = 'invoice' AND i.status <> 'void') v
        WHERE (w.bills AND v.live + v.refunded = 0) OR (v.live > 0 AND NOT w.bills)
           OR (b.status <> 'completed' AND v.billed > 0)
           OR (b.status NOT IN ('cancelled', 'no_show') AND v.fees > 0)""",
    "fee revenue in the ledger is not that of the invoices": """
        SELECT l.amount, f.amount
        FROM (SELECT coalesce(-sum(amount), 0) AS amount FROM journal_lines WHERE account_id = 4130) l,
             (SELECT coalesce(sum(n.amount - n.vat_amount), 0) AS amount
              FROM invoice_lines n JOIN invoices i ON i.id = n.invoice_id
              WHERE n.kind = 'fee' AND i.status <> 'void') f
        WHERE l.amount <> f.amount""",
    "products or tips in the ledger are not those of the invoices": """
        SELECT a.kind, l.amount, n.amount
        FROM (VALUES ('product', 4140), ('tip', 2150)) AS a (kind, account)
        CROSS JOIN LATERAL (SELECT coalesce(-sum(amount), 0) AS amount FROM journal_lines
                            WHERE account_id = a.account) l
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(n.amount - n.vat_amount), 0) AS amount
            FROM invoice_lines n JOIN invoices i ON i.id = n.invoice_id
            LEFT JOIN invoice_lines o ON o.id = n.discounts_id
            WHERE coalesce(o.kind, n.kind) = a.kind AND i.status <> 'void') n
        WHERE l.amount <> n.amount""",
    "a discount is on nothing, raises its line, or leaves less than nothing of it": """
        SELECT d.id, n.id FROM invoice_lines d LEFT JOIN invoice_lines n ON n.id = d.discounts_id
        JOIN invoices i ON i.id = d.invoice_id
        WHERE d.kind = 'discount' AND (
            n.id IS NULL OR n.invoice_id <> d.invoice_id OR n.kind NOT IN ('service', 'plan', 'product')
            OR (i.kind = 'invoice' AND d.amount >= 0) OR d.vat_rate_bp <> n.vat_rate_bp
            OR (i.kind = 'invoice' AND n.amount + (
                SELECT sum(amount) FROM invoice_lines o WHERE o.discounts_id = n.id) < 0))""",
    "the VAT of a line is not within what is left of it": """
        SELECT n.id FROM invoice_lines n JOIN invoices i ON i.id = n.invoice_id AND i.kind = 'invoice'
        LEFT JOIN LATERAL (SELECT coalesce(sum(amount), 0) AS amount, coalesce(sum(vat_amount), 0) AS vat
                           FROM invoice_lines o WHERE o.discounts_id = n.id) d ON true
        WHERE n.discounts_id IS NULL AND n.vat_amount + d.vat
            <> round((n.amount + d.amount) * n.vat_rate_bp::numeric / (10000 + n.vat_rate_bp))""",
    "a tip is nobody's": "SELECT id FROM invoice_lines WHERE kind = 'tip' AND staff_id IS NULL",
    "a stock is not what its movements leave": """
        SELECT s.id, s.on_hand, m.quantity FROM product_stocks s LEFT JOIN LATERAL (
            SELECT coalesce(sum(quantity), 0) AS quantity FROM stock_movements WHERE stock_id = s.id) m ON true
        WHERE s.on_hand <> m.quantity OR s.on_hand < 0""",
    "a product was sold out of no stock, or came back without being sold": """
        SELECT l.id, l.quantity, m.quantity FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
        LEFT JOIN LATERAL (SELECT coalesce(-sum(quantity), 0) AS quantity FROM stock_movements o
                           WHERE o.invoice_line_id = l.id) m ON true
        WHERE i.kind = 'invoice' AND l.kind = 'product' AND CASE
            WHEN i.status = 'void' OR i.is_credited THEN m.quantity <> 0
            WHEN EXISTS (SELECT FROM invoices n WHERE n.corrects_id = i.id AND n.status <> 'void')
                THEN m.quantity NOT BETWEEN 0 AND l.quantity
            ELSE m.quantity <> l.quantity END""",
    "an invoice is replaced by one of another customer or visit, or is not void": """
        SELECT n.id, o.id FROM invoices n JOIN invoices o ON o.id = n.replaces_id
        WHERE o.status <> 'void' OR (n.branch_id, n.customer_id) <> (o.branch_id, o.customer_id)
           OR n.booking_id IS DISTINCT FROM o.booking_id""",
    "a service that was cancelled alone is billed, or the last of its visit": """
        SELECT t.id FROM booking_items t WHERE t.cancelled_at IS NOT NULL AND (
            EXISTS (SELECT FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
                    WHERE l.booking_item_id = t.id AND i.kind = 'invoice' AND i.status <> 'void' AND NOT i.is_credited)
            OR NOT EXISTS (
                SELECT FROM booking_items o WHERE o.booking_id = t.booking_id AND o.cancelled_at IS NULL))""",
    "a visit does not begin with its first service": """
        SELECT b.id FROM bookings b WHERE b.starts_at <> (
            SELECT min(starts_at) FROM booking_items t WHERE t.booking_id = b.id AND t.cancelled_at IS NULL)""",
    "a prepaid item has not exactly the session that its status wants": """
        SELECT t.id, b.status, live.* FROM booking_items t JOIN bookings b ON b.id = t.booking_id
        LEFT JOIN LATERAL (
            SELECT count(*) FILTER (WHERE kind = 'hold') AS held,
                   count(*) FILTER (WHERE kind = 'punch') AS punched,
                   count(*) FILTER (WHERE kind = 'forfeit') AS forfeited
            FROM treatment_entries WHERE booking_item_id = t.id AND closed_by_id IS NULL) live ON true
        WHERE t.booking_status <> b.status OR CASE
            WHEN t.treatment_id IS NULL OR t.cancelled_at IS NOT NULL THEN held + punched + forfeited <> 0
            WHEN b.status IN ('pending', 'confirmed', 'in_progress') THEN (held, punched, forfeited) <> (1, 0, 0)
            WHEN b.status = 'completed' THEN (held, punched, forfeited) <> (0, 1, 0)
            ELSE held + punched > 0 OR forfeited > 1 END""",
    "a session was taken from another card than the visit's": """
        SELECT e.id FROM treatment_entries e JOIN booking_items t ON t.id = e.booking_item_id
        WHERE e.treatment_id IS DISTINCT FROM t.treatment_id AND e.closed_by_id IS NULL
          AND e.kind IN ('hold', 'punch')""",
    "sessions or value got lost, or doubled, in a transfer": """
        SELECT o.id, i.id FROM treatment_entries o FULL JOIN treatment_entries i ON i.counterpart_id = o.id
        WHERE (o.kind = 'transfer_out' OR i.kind = 'transfer_in')
          AND (coalesce(o.sessions, 0) + coalesce(i.sessions, 0) <> 0
               OR coalesce(o.value_amount, 0) + coalesce(i.value_amount, 0) <> 0 OR o.treatment_id = i.treatment_id)""",
    "what left a card otherwise is not what the ledger says": """
        SELECT e.id, e.kind, e.value_amount FROM treatment_entries e
        JOIN customer_treatments c ON c.id = e.treatment_id
        WHERE e.kind IN ('transfer_out', 'transfer_in', 'adjust', 'share', 'unshare', 'extend', 'freeze', 'unfreeze')
          AND e.value_amount <> coalesce((
              SELECT sum(l.amount) FROM journal_lines l JOIN journal_entries j ON j.id = l.entry_id
              WHERE j.treatment_entry_id = coalesce(e.counterpart_id, e.id) AND l.treatment_id = c.id), 0)""",
    "a price lot is not what its sale put into it": """
        SELECT n.id FROM invoice_lines n JOIN invoices i ON i.id = n.invoice_id AND i.kind = 'invoice'
        WHERE n.kind = 'plan' AND i.status <> 'void' AND (
            SELECT sum(o.amount - o.vat_amount) FROM invoice_lines o WHERE n.id IN (o.id, o.discounts_id)) <> (
            SELECT coalesce(sum(c.deferred_amount), 0) + coalesce(sum(r.amount), 0) FROM customer_treatments c
            LEFT JOIN LATERAL (SELECT sum(value_amount) AS amount FROM treatment_entries
                               WHERE treatment_id = c.id AND kind = 'refund') r ON true
            WHERE c.invoice_line_id = n.id)""",
    "more came back for an invoice than was paid for it, or another sum than its credit notes say": """
        SELECT i.id, i.paid_amount, i.credited_amount, n.amount, n.settled FROM invoices i
        LEFT JOIN LATERAL (
            SELECT coalesce(-sum(n.total_amount), 0) AS amount, coalesce(sum(p.amount), 0) AS settled FROM invoices n
            LEFT JOIN payments p ON p.credit_note_id = n.id
            WHERE n.corrects_id = i.id AND n.status <> 'void') n ON true
        WHERE i.kind = 'invoice' AND (
            i.credited_amount <> n.amount OR n.amount > i.paid_amount
            OR i.is_credited <> (i.credited_amount = i.total_amount AND (i.total_amount > 0 OR i.is_credited))
            OR (SELECT coalesce(sum(-n.total_amount), 0) FROM invoices n
                WHERE n.corrects_id = i.id AND n.status <> 'void') - n.settled
               > (SELECT coalesce(sum(amount), 0) FROM payments
                  WHERE invoice_id = i.id AND credit_note_id IS NULL))""",
    "a line came back more than it was, or in part though all of its invoice did": """
        SELECT l.id, b.amount FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id AND i.kind = 'invoice'
        LEFT JOIN LATERAL (
            SELECT coalesce(-sum(b.amount), 0) AS amount, coalesce(-sum(b.vat_amount), 0) AS vat, count(*) AS times
            FROM invoice_lines b JOIN invoices n ON n.id = b.invoice_id AND n.status <> 'void'
            WHERE b.corrects_id = l.id) b ON true
        WHERE b.amount * sign(l.amount) > abs(l.amount) OR b.amount * sign(l.amount) < 0
           OR b.vat * sign(l.amount) > abs(l.vat_amount) OR (b.amount = l.amount AND b.vat <> l.vat_amount)
           OR (i.is_credited AND b.times > 0 AND b.amount <> l.amount)""",
    "more was handed out than a credit note gave, or than the payment brought that went back": """
        SELECT n.id FROM invoices n JOIN payouts p ON p.invoice_id = n.id
        GROUP BY n.id HAVING n.kind <> 'credit_note' OR n.status = 'void'
            OR sum(p.amount) + (SELECT coalesce(sum(amount), 0) FROM payments WHERE credit_note_id = n.id)
               > -n.total_amount
        UNION ALL SELECT p.id FROM payments p JOIN payouts o ON o.payment_id = p.id
        JOIN invoices n ON n.id = o.invoice_id
        GROUP BY p.id HAVING sum(o.amount) > p.amount OR bool_or(o.method <> p.method)
            OR bool_or(n.corrects_id <> p.invoice_id)""",
    "a card is frozen or not, and its history says otherwise": """
        SELECT c.id FROM customer_treatments c WHERE (c.frozen_on IS NOT NULL) <> coalesce((
            SELECT kind = 'freeze' FROM treatment_entries WHERE treatment_id = c.id AND kind IN ('freeze', 'unfreeze')
            ORDER BY id DESC LIMIT 1), false)""",
    "a session was reserved on a frozen card, or frozen while it was": """
        SELECT f.treatment_id, f.id FROM treatment_entries f
        LEFT JOIN LATERAL (SELECT min(id) AS id FROM treatment_entries
                           WHERE treatment_id = f.treatment_id AND kind = 'unfreeze' AND id > f.id) u ON true
        WHERE f.kind = 'freeze' AND (
            (SELECT coalesce(sum(sessions), 0) FROM treatment_entries h
             WHERE h.treatment_id = f.treatment_id AND h.kind IN ('hold', 'release') AND h.id < f.id) <> 0
            OR EXISTS (SELECT FROM treatment_entries h
                       WHERE h.treatment_id = f.treatment_id AND h.kind = 'hold' AND h.id > f.id
                         AND h.id < coalesce(u.id, h.id + 1)
                         AND NOT EXISTS (
                             SELECT FROM treatment_entries b WHERE b.kind = 'unpunch'
                             AND b.booking_item_id = h.booking_item_id AND b.created_at = h.created_at)))""",
    "more of a card is used than is shared": """
        SELECT c.id, b.customer_id FROM customer_treatments c
        JOIN treatment_entries e ON e.treatment_id = c.id AND e.kind IN ('hold', 'punch', 'forfeit')
             AND e.closed_by_id IS NULL
        JOIN booking_items t ON t.id = e.booking_item_id
        JOIN bookings b ON b.id = t.booking_id AND b.customer_id <> c.customer_id
        LEFT JOIN treatment_shares s ON s.treatment_id = c.id AND s.customer_id = b.customer_id
        GROUP BY c.id, b.customer_id
        HAVING count(s.id) = 0
            OR count(DISTINCT e.id) > coalesce(min(s.session_limit) FILTER (WHERE s.ended_by_id IS NULL), 30000)""",
    "a refunded card still holds a session": """
        SELECT c.id FROM customer_treatments c WHERE c.cancelled_at IS NOT NULL
            AND (c.held_sessions <> 0 OR c.deferred_amount <> c.recognised_amount + c.expired_amount)""",
    "a therapist is in two places": """
        SELECT a.id, b.id FROM booking_items a JOIN booking_items b ON a.id < b.id AND a.staff_id = b.staff_id
            AND a.occupies AND b.occupies AND a.occupied && b.occupied""",
    "a room is taken twice": """
        SELECT a.booking_item_id, b.booking_item_id FROM booking_item_resources a
        JOIN booking_item_resources b ON a.booking_item_id < b.booking_item_id AND a.resource_id = b.resource_id
            AND a.occupies AND b.occupies AND a.occupied && b.occupied
            AND (a.party_id IS DISTINCT FROM b.party_id OR a.party_id IS NULL OR a.place = b.place)""",
    "somebody lies in a room that they do not belong into": """
        SELECT r.booking_item_id FROM booking_item_resources r JOIN booking_items i ON i.id = r.booking_item_id
        JOIN bookings b ON b.id = i.booking_id JOIN resources o ON o.id = r.resource_id
        WHERE r.party_id IS DISTINCT FROM b.party_id OR (r.occupies AND r.place > o.places)""",
    "a room is held at another time than its visit's": """
        SELECT r.booking_item_id, r.resource_id FROM booking_item_resources r
        JOIN booking_items i ON i.id = r.booking_item_id WHERE NOT i.occupied @> r.occupied""",
    "a visit lies in its therapist's blocked time": """
        SELECT i.id, x.id FROM booking_items i JOIN blocked_times x ON x.staff_id = i.staff_id
            AND i.occupies AND i.occupied && tstzrange(x.starts_at, x.ends_at)
        WHERE NOT EXISTS (
            SELECT FROM audit_log a WHERE a.entity = 'blocked_time' AND a.entity_id = x.id
                AND a.action = 'time_blocked' AND a.after -> 'left' @> to_jsonb(i.id))""",
    "a visit is in a room that is closed": """
        SELECT r.booking_item_id, x.id FROM booking_item_resources r JOIN blocked_times x
            ON x.resource_id = r.resource_id AND r.occupies AND r.occupied && tstzrange(x.starts_at, x.ends_at)
        WHERE NOT EXISTS (
            SELECT FROM audit_log a WHERE a.entity = 'blocked_time' AND a.entity_id = x.id
                AND a.action = 'time_blocked' AND a.after -> 'left' @> to_jsonb(r.booking_item_id))""",
}

STATUSES = """
    SELECT c.id, c.status, c.cancelled_at, c.frozen_on, c.used_sessions = c.total_sessions,
           coalesce(c.expiry_date, '9999-12-31'), b.timezone,
           c.expired_sessions > 0
    FROM customer_treatments c JOIN branches b ON b.id = c.branch_id ORDER BY c.id"""


def find_faults() -> list[str]:
    """Everything that is wrong with the books, as sentences with the rows in question; empty when they balance."""
    db.session.rollback()
    faults = [f"{rule}: {tuple(row)}" for rule, query in RULES.items() for row in db.session.execute(text(query)).all()]
    for card_id, status, cancelled_at, frozen_on, is_used, expiry_date, timezone, has_expired in db.session.execute(
        text(STATUSES)
    ):
        is_over = has_expired or expiry_date < clock.today(timezone)
        facts = "expired" if is_over else "active"
        facts = "cancelled" if cancelled_at else "frozen" if frozen_on else "completed" if is_used else facts
        # Between midnight and the nightly run, a card that is over may still be stored as active.
        if status != facts and (status, facts) != ("active", "expired"):
            faults.append(f"a card's status is not what the facts say: {(card_id, status, facts)}")
    db.session.rollback()
    return faults


def assert_books_balance() -> None:
    """Fail with every fault found."""
    faults = find_faults()
    assert not faults, "\n".join(faults)

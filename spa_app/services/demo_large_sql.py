"""The steps that fill the large demo, in order, all in one transaction. Whole numbers only; the same rows every time.

Temporary tables hold the plan of what has happened (kinds, therapists, visits, cards, invoices, postings) and go with
the transaction; ids are given here, so that later steps can name what earlier ones made.
"""

# Their triggers compare each row with its history at commit; the loader reconciles the whole instead.
CHECKED_AT_COMMIT = (
    "treatment_entries",
    "customer_treatments",
    "invoices",
    "invoice_lines",
    "payments",
    "journal_entries",
    "journal_lines",
)

# What is sold: for each kind of room its hourly service, and the plan of ten of it.
KINDS = """
    CREATE TEMP TABLE kind ON COMMIT DROP AS
    SELECT h.n - 1 AS kind, s.id AS service_id, s.name, s.price_amount, s.vat_rate_bp, s.duration_minutes,
           s.buffer_before_minutes, s.buffer_after_minutes, p.id AS plan_id, a.id AS anything_id,
           p.price_amount AS plan_amount
    FROM unnest(CAST(:hourly AS text[])) WITH ORDINALITY AS h (name, n)
    JOIN services s ON s.name = h.name
    JOIN plans a ON a.name = :anything
    JOIN plan_items i ON i.service_id = s.id AND i.sessions = 10
    JOIN plans p ON p.id = i.plan_id AND p.name LIKE '%, any day'
"""
THERAPISTS = """
    CREATE TEMP TABLE therapist ON COMMIT DROP AS
    SELECT b.id AS branch_id, dense_rank() OVER (ORDER BY b.id) - 1 AS branch, s.position, s.position % 4 AS kind,
           s.id AS staff_id, r.id AS resource_id, count(*) OVER (PARTITION BY b.id) AS colleagues
    FROM staff s JOIN branches b ON b.id = s.branch_id
    JOIN resources r ON r.branch_id = b.id AND r.position = s.position
"""
CUSTOMERS = """
    INSERT INTO customers (id, full_name, phone, allergies, created_at)
    SELECT n,
           (CAST(:surnames AS text[]))[1 + n % cardinality(CAST(:surnames AS text[]))] || ' '
           || (CAST(:middle AS text[]))[1 + n / 7 % cardinality(CAST(:middle AS text[]))] || ' '
           || (CAST(:given AS text[]))[1 + n / 61 % cardinality(CAST(:given AS text[]))],
           '+849' || lpad((10000000 + n * 1237)::text, 8, '0'),
           CASE WHEN n % 11 = 3 THEN 'Dị ứng tinh dầu sả' ELSE '' END,
           now() - make_interval(days => :days_back)
    FROM generate_series(1, :customers) n
"""
# A day fills its branches hour by hour; where therapists are many, every other hour. Of a hundred visits 70 are on
# cards; of those that are over 4 were cancelled and 2 missed.
VISITS = """
    CREATE TEMP TABLE visit ON COMMIT DROP AS
    SELECT v.*, CASE WHEN v.day >= :days_back THEN 'confirmed' WHEN v.dice < 4 THEN 'cancelled'
                     WHEN v.dice < 6 THEN 'no_show' ELSE 'completed' END AS status,
           CASE WHEN v.dice >= 30
                THEN row_number() OVER (PARTITION BY v.dice >= 30, v.kind ORDER BY v.id) - 1 END AS nth,
           CASE WHEN v.dice >= 30
                THEN row_number() OVER (PARTITION BY v.dice >= 30 ORDER BY v.id) - 1 END AS nth_on_card
    FROM (
        SELECT n + 1 AS id, n / (3 * :per_day) AS day, n * 48271 % 2147483647 % 100 AS dice,
               1 + n * 7919 % :customers AS customer_id, t.branch_id, t.staff_id, t.resource_id, k.*,
               (CAST(:today AS date) + (n / (3 * :per_day) - :days_back)::int
                + make_interval(
                    hours => (8 + n % :per_day / t.colleagues * CASE WHEN t.colleagues > 12 THEN 2 ELSE 1 END)::int)
               ) AT TIME ZONE :timezone AS starts_at
        FROM generate_series(CAST(0 AS bigint), :visits - 1) n
        JOIN therapist t ON t.branch = n / :per_day % 3 AND t.position = n % :per_day % t.colleagues
        JOIN kind k ON k.kind = t.kind
    ) v
"""
# The visits of a kind wander through its cards: 36 cohorts, one after the other, each used evenly.
ON_CARDS = """
    CREATE TEMP TABLE on_card ON COMMIT DROP AS
    SELECT v.id AS visit_id, v.nth_on_card,
           1 + v.kind
           + 4 * (least(v.nth * 36 / k.visits, 35) * (:cards / 4 / 36) + v.nth % (:cards / 4 / 36)) AS card_id
    FROM visit v JOIN (SELECT kind, count(nth) AS visits FROM visit GROUP BY kind) k ON k.kind = v.kind
    WHERE v.nth IS NOT NULL
"""
CARDS = """
    CREATE TEMP TABLE card ON COMMIT DROP AS
    SELECT c.*, c.amount - c.vat AS deferred, (c.amount - c.vat) / 10 AS each, bought_on + 365 AS expiry_date,
           CASE WHEN bought_on + 365 < CAST(:today AS date) THEN 10 - used ELSE 0 END AS expired
    FROM (
        SELECT j AS id, 1 + (j - 1) / 4 * 7919 % :customers AS customer_id,
               coalesce(u.branch_id, b.id) AS branch_id, k.service_id, k.name, k.plan_id, k.anything_id,
               (j - 1) % 8 >= 4 AS anything, (j - 1) % 5 < 2 AS sold, coalesce(u.used, 0) AS used,
               coalesce(u.held, 0) AS held, k.plan_amount AS amount,
               (k.plan_amount * 1600 + 10800) / 21600 AS vat,
               least(coalesce((u.first_at AT TIME ZONE :timezone)::date, CAST(:today AS date) - :days_back) - 3,
                     CAST(:today AS date)) AS bought_on
        FROM generate_series(CAST(1 AS bigint), :cards) j
        JOIN kind k ON k.kind = (j - 1) % 4
        CROSS JOIN (SELECT min(id) AS id FROM branches) b
        LEFT JOIN (
            SELECT o.card_id, min(v.branch_id) AS branch_id, min(v.starts_at) AS first_at,
                   count(*) FILTER (WHERE v.status = 'completed') AS used,
                   count(*) FILTER (WHERE v.status = 'confirmed') AS held
            FROM on_card o JOIN visit v ON v.id = o.visit_id GROUP BY o.card_id
        ) u ON u.card_id = j
    ) c
"""
BILLS = """
    CREATE TEMP TABLE bill ON COMMIT DROP AS
    SELECT row_number() OVER (ORDER BY issued_at, visit_id, card_id) AS id,
           row_number() OVER (PARTITION BY branch_id, year ORDER BY issued_at, visit_id, card_id) AS nth, x.*
    FROM (
        SELECT v.branch_id, v.customer_id, v.id AS visit_id, CAST(NULL AS bigint) AS card_id, v.name AS description,
               v.service_id, CAST(NULL AS bigint) AS plan_id, v.price_amount AS amount,
               (v.price_amount * 1600 + 10800) / 21600 AS vat, v.starts_at + interval '50 minutes' AS issued_at,
               extract(year FROM v.starts_at AT TIME ZONE :timezone)::int AS year
        FROM visit v WHERE v.status = 'completed' AND v.nth IS NULL
        UNION ALL
        SELECT branch_id, customer_id, NULL, id, '10 × ' || CASE WHEN anything THEN 'anything' ELSE name END, NULL,
               CASE WHEN anything THEN anything_id ELSE plan_id END, amount, vat,
               (bought_on + time '07:30') AT TIME ZONE :timezone, extract(year FROM bought_on)::int
        FROM card WHERE sold
    ) x
"""

BOOKINGS = """
    INSERT INTO bookings (id, branch_id, customer_id, status, starts_at, arrived_at, started_at, completed_at,
                          cancelled_at, cancel_reason, created_by_id, created_at)
    SELECT v.id, v.branch_id, coalesce(c.customer_id, v.customer_id), v.status, v.starts_at,
           CASE WHEN v.status = 'completed' THEN v.starts_at - interval '5 minutes' END,
           CASE WHEN v.status = 'completed' THEN v.starts_at END,
           CASE WHEN v.status = 'completed' THEN v.starts_at + interval '50 minutes' END,
           CASE WHEN v.status = 'cancelled' THEN v.starts_at - interval '1 day' END,
           CASE WHEN v.status = 'cancelled' THEN 'Khách bận' ELSE '' END, :manager_id, v.starts_at - interval '3 days'
    FROM visit v LEFT JOIN on_card o ON o.visit_id = v.id LEFT JOIN card c ON c.id = o.card_id
"""
INVOICES = """
    INSERT INTO invoices (id, branch_id, customer_id, booking_id, number, status, total_amount, vat_amount, paid_amount,
                          issued_at, created_by_id)
    SELECT i.id, i.branch_id, i.customer_id, i.visit_id, b.code || '-' || i.year || '-' || lpad(i.nth::text, 6, '0'),
           'paid', i.amount, i.vat, i.amount, i.issued_at, :manager_id
    FROM bill i JOIN branches b ON b.id = i.branch_id
"""
INVOICE_COUNTERS = """
    INSERT INTO invoice_counters (branch_id, year, last_number)
    SELECT branch_id, year, count(*) FROM bill GROUP BY branch_id, year
"""
# A visit's one item has the visit's own id.
ITEMS = """
    INSERT INTO booking_items (id, booking_id, booking_status, position, service_id, staff_id, treatment_id, starts_at,
                               ends_at, occupied, price_amount, vat_rate_bp)
    SELECT v.id, v.id, v.status, 1, v.service_id, v.staff_id, o.card_id, v.starts_at,
           v.starts_at + make_interval(mins => v.duration_minutes),
           tstzrange(v.starts_at - make_interval(mins => v.buffer_before_minutes),
                     v.starts_at + make_interval(mins => v.duration_minutes + v.buffer_after_minutes)),
           v.price_amount, v.vat_rate_bp
    FROM visit v LEFT JOIN on_card o ON o.visit_id = v.id
"""
ITEM_RESOURCES = """
    INSERT INTO booking_item_resources (booking_item_id, resource_id, occupied, occupies)
    SELECT v.id, v.resource_id, i.occupied, i.occupies FROM visit v JOIN booking_items i ON i.id = v.id
"""
# Lines of plans go in before the cards that name them, lines of visits after the items that they name.
INVOICE_LINES = """
    INSERT INTO invoice_lines (id, invoice_id, position, kind, description, quantity, amount, vat_amount, vat_rate_bp,
                               service_id, plan_id, booking_item_id)
    SELECT id, id, 1, CASE WHEN visit_id IS NULL THEN 'plan' ELSE 'service' END, description, 1, amount, vat, 800,
           service_id, plan_id, visit_id
    FROM bill
"""
PAYMENTS = """
    INSERT INTO payments (id, invoice_id, branch_id, method, amount, tendered_amount, reference, taken_at, actor_id)
    SELECT id, id, branch_id, CASE id % 2 WHEN 0 THEN 'cash' ELSE 'card' END, amount, amount,
           CASE id % 2 WHEN 0 THEN '' ELSE 'POS ' || id END, issued_at + interval '3 minutes', :manager_id
    FROM bill
"""
TREATMENTS = """
    INSERT INTO customer_treatments (id, customer_id, branch_id, service_id, plan_id, invoice_line_id, import_ref,
                                     total_sessions, used_sessions, held_sessions, expired_sessions, deferred_amount,
                                     recognised_amount, expired_amount, expiry_date, status, created_at)
    SELECT c.id, c.customer_id, c.branch_id, CASE WHEN NOT c.anything THEN c.service_id END,
           CASE WHEN NOT c.sold THEN NULL WHEN c.anything THEN c.anything_id ELSE c.plan_id END, b.id,
           CASE WHEN NOT c.sold THEN 'large-' || c.id END, 10, c.used, c.held, c.expired, c.deferred, c.used * c.each,
           CASE WHEN c.expired > 0 THEN c.deferred - c.used * c.each ELSE 0 END, c.expiry_date,
           CASE WHEN c.expired > 0 THEN 'expired' ELSE 'active' END, c.bought_on
    FROM card c LEFT JOIN bill b ON b.card_id = c.id
"""
# Ids: a card's purchase has its own id; then come hold, release and punch of each visit, then the expiries.
ENTRIES = """
    INSERT INTO treatment_entries (id, treatment_id, kind, sessions, value_amount, booking_item_id, closed_by_id,
                                   actor_id, created_at)
    SELECT id, id, 'purchase', 10, 0, NULL, NULL, :manager_id, bought_on FROM card
    UNION ALL
    SELECT :cards + 3 * o.nth_on_card + e.n, o.card_id, e.kind, e.sessions,
           CASE WHEN e.kind = 'punch' THEN c.each ELSE 0 END, v.id,
           CASE WHEN e.kind = 'hold' AND v.status = 'completed' THEN :cards + 3 * o.nth_on_card + 2 END, :manager_id,
           CASE WHEN e.kind = 'hold' THEN v.starts_at - interval '3 days' ELSE v.starts_at + interval '50 minutes' END
    FROM on_card o JOIN visit v ON v.id = o.visit_id JOIN card c ON c.id = o.card_id
    JOIN (VALUES (1, 'hold', -1), (2, 'release', 1), (3, 'punch', -1)) e (n, kind, sessions)
      ON e.n = 1 OR v.status = 'completed'
    UNION ALL
    SELECT :cards + 3 * (SELECT count(*) FROM on_card) + row_number() OVER (ORDER BY id), id, 'expire', -expired,
           deferred - used * each, NULL, NULL, NULL, expiry_date + 1
    FROM card WHERE expired > 0
"""
POSTINGS = """
    CREATE TEMP TABLE posting ON COMMIT DROP AS
    SELECT row_number() OVER (ORDER BY posted_on) AS id, x.*
    FROM (
        SELECT 'cards_imported' AS event, branch_id, bought_on AS posted_on, CAST(NULL AS bigint) AS invoice_id,
               CAST(NULL AS bigint) AS payment_id, id AS entry_id, id AS card_id, ARRAY[3110, 2110] AS accounts,
               ARRAY[deferred, -deferred] AS amounts
        FROM card WHERE NOT sold
        UNION ALL
        SELECT CASE WHEN card_id IS NULL THEN 'visit_invoiced' ELSE 'plan_sold' END, branch_id,
               (issued_at AT TIME ZONE :timezone)::date, id, NULL, NULL, card_id,
               ARRAY[1310, CASE WHEN card_id IS NULL THEN 4110 ELSE 2110 END, 2120], ARRAY[amount, vat - amount, -vat]
        FROM bill
        UNION ALL
        SELECT 'payment_taken', branch_id, (issued_at AT TIME ZONE :timezone)::date, id, id, NULL, NULL,
               ARRAY[CASE id % 2 WHEN 0 THEN 1110 ELSE 1120 END, 1310], ARRAY[amount, -amount]
        FROM bill
        UNION ALL
        SELECT 'session_recognised', v.branch_id, (v.starts_at AT TIME ZONE :timezone)::date, NULL, NULL,
               :cards + 3 * o.nth_on_card + 3, o.card_id, ARRAY[2110, 4110], ARRAY[c.each, -c.each]
        FROM on_card o JOIN visit v ON v.id = o.visit_id JOIN card c ON c.id = o.card_id WHERE v.status = 'completed'
        UNION ALL
        SELECT 'sessions_expired', c.branch_id, c.expiry_date + 1, NULL, NULL, e.id, c.id, ARRAY[2110, 4120],
               ARRAY[e.value_amount, -e.value_amount]
        FROM card c JOIN treatment_entries e ON e.treatment_id = c.id AND e.kind = 'expire'
    ) x
"""
JOURNAL_ENTRIES = """
    INSERT INTO journal_entries (id, branch_id, event, posted_on, invoice_id, payment_id, treatment_entry_id, actor_id,
                                 created_at)
    SELECT id, branch_id, event, posted_on, invoice_id, payment_id, entry_id,
           CASE WHEN event <> 'sessions_expired' THEN :manager_id END, posted_on
    FROM posting
"""
JOURNAL_LINES = """
    INSERT INTO journal_lines (entry_id, account_id, amount, treatment_id)
    SELECT p.id, l.account, l.amount, CASE WHEN l.account = 2110 THEN p.card_id END
    FROM posting p CROSS JOIN LATERAL unnest(p.accounts, p.amounts) l (account, amount)
"""
SEQUENCES = """
    SELECT setval(pg_get_serial_sequence(t, 'id'), greatest(1, n))
    FROM (
        SELECT 'customers' AS t, max(id) AS n FROM customers
        UNION ALL SELECT 'bookings', max(id) FROM bookings
        UNION ALL SELECT 'booking_items', max(id) FROM booking_items
        UNION ALL SELECT 'invoices', max(id) FROM invoices
        UNION ALL SELECT 'invoice_lines', max(id) FROM invoice_lines
        UNION ALL SELECT 'payments', max(id) FROM payments
        UNION ALL SELECT 'customer_treatments', max(id) FROM customer_treatments
        UNION ALL SELECT 'treatment_entries', max(id) FROM treatment_entries
        UNION ALL SELECT 'journal_entries', max(id) FROM journal_entries
    ) s
"""

STEPS = (
    KINDS,
    THERAPISTS,
    CUSTOMERS,
    VISITS,
    ON_CARDS,
    "CREATE INDEX ON on_card (visit_id)",
    "ANALYZE visit, on_card",
    CARDS,
    "ANALYZE card",
    BILLS,
    BOOKINGS,
    INVOICES,
    INVOICE_COUNTERS,
    f"{INVOICE_LINES} WHERE visit_id IS NULL",
    TREATMENTS,
    ITEMS,
    f"{INVOICE_LINES} WHERE visit_id IS NOT NULL",
    ITEM_RESOURCES,
    PAYMENTS,
    ENTRIES,
    POSTINGS,
    JOURNAL_ENTRIES,
    JOURNAL_LINES,
    SEQUENCES,
)

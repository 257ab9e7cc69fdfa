"""Every named constraint and trigger of the schema refuses what it is there to refuse, by name."""

import psycopg
import pytest
from psycopg import sql

CONSTRAINTS = """
    SELECT conname FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'u', 'x', 'f')
    UNION SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND indexname LIKE 'uq%'
    ORDER BY 1"""
FOREIGN_KEYS = """
    SELECT conname, conrelid::regclass::text, a.attname
    FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
    WHERE connamespace = 'public'::regnamespace AND contype = 'f' ORDER BY 1"""
TRIGGERS = """
    SELECT tgname, tgrelid::regclass::text FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
    WHERE NOT tgisinternal AND c.relnamespace = 'public'::regnamespace ORDER BY 1"""

# An UPDATE of committed rows that breaks the constraint and no other one that is looked at before it.
BREAKING_UPDATES = {
    "ck_accounts_kind": "accounts SET kind = 'x'",
    "ck_booking_item_resources_place": "booking_item_resources SET place = 0",
    "ck_booking_items_occupied_covers_visit": "booking_items SET occupied = tstzrange(starts_at + '1 min', ends_at)",
    "ck_booking_items_order": "booking_items SET ends_at = starts_at",
    "ck_booking_items_price": "booking_items SET price_amount = -1",
    "ck_blocked_times_kind": "blocked_times SET kind = CASE WHEN staff_id IS NULL THEN 'leave' ELSE 'closed' END",
    "ck_blocked_times_one_thing": (
        "blocked_times SET kind = 'blocked', staff_id = (SELECT min(id) FROM staff),"
        " resource_id = (SELECT min(id) FROM resources)"
    ),
    "ck_blocked_times_order": "blocked_times SET ends_at = starts_at",
    "ck_bookings_cancel_reason": "bookings SET status = 'cancelled', cancel_reason = ''",
    "ck_bookings_hold": (
        "bookings SET held_until = now(), held_by_id = (SELECT min(id) FROM users) WHERE status = 'completed'"
    ),
    "ck_bookings_holder": "bookings SET held_until = now() WHERE status = 'cancelled'",
    "ck_bookings_status": "bookings SET status = 'x'",
    "ck_branch_exceptions_both_times": "branch_exceptions SET closes_at = NULL WHERE opens_at IS NOT NULL",
    "ck_branch_exceptions_order": "branch_exceptions SET closes_at = opens_at WHERE opens_at IS NOT NULL",
    "ck_branch_hours_order": "branch_hours SET closes_at = opens_at",
    "ck_branch_hours_weekday": "branch_hours SET weekday = 7",
    "ck_branches_code": "branches SET code = 'q 1'",
    "ck_branches_bank": "branches SET bank_bin = '970436'",
    "ck_branches_bank_account": "branches SET bank_bin = '970436', bank_account = '1 2 3 4'",
    "ck_branches_bank_bin": "branches SET bank_bin = 'VCB', bank_account = '0881000458086'",
    "ck_branches_late_cancel_fee": (
        "branches SET late_cancel_policy = 'fee', late_cancel_fee_bp = 5000, late_cancel_fee_amount = 100000"
    ),
    "ck_branches_late_cancel_fee_amount": "branches SET late_cancel_fee_amount = 0",
    "ck_branches_late_cancel_fee_bp": "branches SET late_cancel_fee_bp = 10001",
    "ck_branches_late_cancel_minutes": "branches SET late_cancel_minutes = -1",
    "ck_branches_late_cancel_policy": "branches SET late_cancel_policy = 'x'",
    "ck_branches_no_show_fee": "branches SET no_show_policy = 'fee'",
    "ck_branches_no_show_fee_amount": "branches SET no_show_fee_amount = -1",
    "ck_branches_no_show_fee_bp": "branches SET no_show_fee_bp = 0",
    "ck_branches_no_show_policy": "branches SET no_show_policy = 'x'",
    "ck_branches_waiver_limit": "branches SET waiver_limit_amount = -1",
    "ck_branches_tax_code": "branches SET tax_code = 'MST 1'",
    "ck_branches_extend_limit": "branches SET extend_limit_days = -1",
    "ck_branches_close_with_open_invoices": "branches SET close_with_open_invoices = 'pray'",
    "ck_cash_movements_amount": "cash_movements SET amount = 0",
    "ck_cash_movements_kind": "cash_movements SET kind = 'loan'",
    "ck_cash_movements_reason": "cash_movements SET reason = '' WHERE kind = 'expense'",
    "ck_day_closes_open_invoices": "day_closes SET open_invoices = -1",
    "ck_day_closes_reopened": "day_closes SET reopened_at = now() WHERE reopened_at IS NULL",
    "ck_day_closes_z_number": "day_closes SET z_number = -z_number",
    "ck_drawer_sessions_counted": (
        "drawer_sessions SET counted_amount = -1, variance_amount = -1 - expected_amount, left_amount = -1"
        " WHERE counted_amount IS NOT NULL"
    ),
    "ck_drawer_sessions_left": "drawer_sessions SET left_amount = counted_amount + 1 WHERE left_amount IS NOT NULL",
    "ck_drawer_sessions_open": "drawer_sessions SET expected_amount = 5 WHERE closed_at IS NULL",
    "ck_drawer_sessions_opened_as": "drawer_sessions SET opened_as = 'x', opening_variance_amount = NULL",
    "ck_drawer_sessions_opening": "drawer_sessions SET opening_float_amount = NULL",
    "ck_drawer_sessions_opening_float": "drawer_sessions SET opening_float_amount = -1",
    "ck_drawer_sessions_opening_variance": (
        "drawer_sessions SET opened_as = 'carried' WHERE opening_variance_amount IS NOT NULL"
    ),
    "ck_drawer_sessions_variance": "drawer_sessions SET variance_amount = 1",
    "ck_drawers_name": "drawers SET name = ''",
    "ck_branches_discount_limit": "branches SET discount_limit_bp = 10001",
    "ck_branches_gift_card_months": "branches SET gift_card_months = 0",
    "ck_gift_card_entries_expires_on": "gift_card_entries SET expires_on = '2030-01-01' WHERE kind = 'issue'",
    "ck_gift_card_entries_kind": "gift_card_entries SET kind = 'x' WHERE kind = 'issue'",
    "ck_gift_card_entries_payment": "gift_card_entries SET payment_id = NULL WHERE kind = 'redeem'",
    "ck_gift_card_entries_sign": "gift_card_entries SET amount = -1 WHERE kind = 'issue'",
    "ck_gift_cards_balance": "gift_cards SET balance_amount = -1",
    "ck_gift_cards_cancelled": "gift_cards SET cancelled_at = now(), balance_amount = 1",
    "ck_gift_cards_code": "gift_cards SET code = 'ABCD-EFGH-JKL'",
    "ck_gift_cards_expired": "gift_cards SET expired_amount = -1",
    "ck_gift_cards_initial": "gift_cards SET initial_amount = 0",
    "ck_branches_refund_limit": "branches SET refund_limit_amount = -1",
    "ck_customer_treatments_validity_days": "customer_treatments SET validity_days = 0",
    "ck_customer_treatments_validity_months": "customer_treatments SET validity_months = 121",
    "ck_customer_treatments_validity_unit": "customer_treatments SET expiry_date = NULL",
    "ck_customer_treatments_branches": "customer_treatments SET branch_ids = '{}'",
    "ck_customer_treatments_deferred_not_negative": "customer_treatments SET deferred_amount = -1",
    "ck_customer_treatments_expired_not_negative": "customer_treatments SET expired_sessions = -1",
    "ck_customer_treatments_held_not_negative": "customer_treatments SET held_sessions = -1",
    "ck_customer_treatments_spent_not_negative": "customer_treatments SET recognised_amount = -1",
    "ck_customer_treatments_status": "customer_treatments SET status = 'x'",
    "ck_customer_treatments_total_not_negative": "customer_treatments SET total_sessions = -1",
    "ck_customer_treatments_used_not_negative": "customer_treatments SET used_sessions = -1",
    "ck_customer_treatments_value_within_deferred": "customer_treatments SET recognised_amount = deferred_amount + 1",
    "ck_customer_treatments_within_total": "customer_treatments SET held_sessions = total_sessions + 1",
    "ck_customers_credit": "customers SET credit_amount = -1",
    "ck_customer_files_kind": "customer_files SET kind = 'x'",
    "ck_customer_files_media_type": "customer_files SET media_type = 'text/html'",
    "ck_customer_files_size": "customer_files SET size_bytes = 0",
    "ck_customer_links_relation": "customer_links SET relation = 'x'",
    "ck_customer_links_two": "customer_links SET relative_id = customer_id",
    "ck_customer_merges_two": "customer_merges SET merged_id = survivor_id",
    "ck_customers_merged_has_no_phone": (
        "customers SET phone = '+84901234567' WHERE id = (SELECT min(merged_id) FROM customer_merges)"
    ),
    "ck_customers_merged_into_other": "customers SET merged_into_id = id, phone = NULL",
    "ck_distinct_customers_two": "distinct_customers SET first_id = second_id",
    "ck_record_accesses_file": "record_accesses SET file_id = NULL WHERE what = 'file'",
    "ck_record_accesses_what": "record_accesses SET what = 'x'",
    "ck_treatment_notes_body": "treatment_notes SET body = ''",
    "ck_deposit_entries_kind": "deposit_entries SET kind = 'x', method = NULL, drawer_session_id = NULL, amount = -1",
    "ck_deposit_entries_method": "deposit_entries SET drawer_session_id = NULL, method = 'x' WHERE kind = 'returned'",
    "ck_deposit_entries_payment": (
        "deposit_entries SET kind = 'used', method = NULL, drawer_session_id = NULL WHERE kind = 'returned'"
    ),
    "ck_deposit_entries_reason": "deposit_entries SET reason = ''",
    "ck_deposit_entries_reference": (
        "deposit_entries SET drawer_session_id = NULL, method = 'card' WHERE kind = 'returned'"
    ),
    "ck_deposit_entries_returned_by": (
        "deposit_entries SET drawer_session_id = NULL, method = 'cash' WHERE kind = 'taken'"
    ),
    "ck_deposit_entries_sign": "deposit_entries SET amount = -amount",
    "ck_deposits_amount": "deposits SET amount = 0",
    "ck_deposits_balance_not_negative": "deposits SET balance_amount = -1",
    "ck_deposits_method": "deposits SET drawer_session_id = NULL, method = 'x'",
    "ck_deposits_reference": "deposits SET drawer_session_id = NULL, method = 'card'",
    "ck_customers_full_name": "customers SET full_name = ''",
    "ck_customers_phone_e164": "customers SET phone = '0901234567'",
    "ck_customers_shares_phone_with_other": "customers SET shares_phone_with_id = id",
    "ck_draft_shifts_order": "draft_shifts SET ends_at = starts_at",
    "ck_draft_shifts_weekday": "draft_shifts SET weekday = 7",
    "ck_invoice_lines_discount": "invoice_lines SET discount_scope = 'line' WHERE kind = 'service'",
    "ck_invoice_lines_discount_bp": "invoice_lines SET discount_bp = 0 WHERE kind = 'discount'",
    "ck_invoice_lines_discount_scope": "invoice_lines SET discount_scope = 'x' WHERE kind = 'discount'",
    "ck_invoice_lines_kind": "invoice_lines SET kind = 'x'",
    "ck_invoice_lines_product": (
        "invoice_lines SET product_id = (SELECT min(id) FROM products) WHERE kind = 'service'"
    ),
    "ck_invoice_lines_quantity": "invoice_lines SET quantity = 0",
    "ck_invoice_lines_tip": "invoice_lines SET staff_id = (SELECT min(id) FROM staff) WHERE kind = 'service'",
    "ck_invoices_card_refund": (
        "invoices SET treatment_id = (SELECT min(id) FROM customer_treatments) WHERE kind = 'invoice'"
    ),
    "ck_invoices_credit_note_corrects": "invoices SET corrects_id = id WHERE kind = 'invoice'",
    "ck_invoices_credit_note_negative": "invoices SET total_amount = 1 WHERE kind = 'credit_note'",
    "ck_invoices_kind": "invoices SET kind = 'x', total_amount = -1 WHERE kind = 'invoice'",
    "ck_invoices_paid": "invoices SET paid_amount = total_amount + 1 WHERE kind = 'invoice'",
    "ck_invoices_replaces": "invoices SET replaces_id = id WHERE kind = 'credit_note'",
    "ck_invoices_status": "invoices SET status = 'x' WHERE status = 'open'",
    "ck_invoices_status_follows_payments": "invoices SET status = 'paid' WHERE status = 'open'",
    "ck_invoices_credited": "invoices SET credited_amount = paid_amount + 1 WHERE kind = 'invoice'",
    "ck_invoices_wholly_credited": "invoices SET is_credited = true WHERE status = 'open'",
    "ck_invoices_void": "invoices SET status = 'void' WHERE status = 'open'",
    "ck_job_runs_job": "job_runs SET job = 'x'",
    "ck_journal_entries_event": "journal_entries SET event = 'x'",
    "ck_journal_lines_amount": "journal_lines SET amount = 0",
    "ck_outbox_end": "outbox SET done_at = now(), failed_at = now()",
    "ck_outbox_kind": "outbox SET kind = 'x'",
    "ck_payments_amount": "payments SET amount = 0",
    "ck_payments_drawer": (
        "payments SET method = 'e_wallet', drawer_session_id = (SELECT min(id) FROM drawer_sessions)"
    ),
    "ck_deposits_drawer": (
        "deposits SET method = 'e_wallet', drawer_session_id = (SELECT min(id) FROM drawer_sessions)"
    ),
    "ck_deposit_entries_drawer": (
        "deposit_entries SET drawer_session_id = (SELECT min(id) FROM drawer_sessions) WHERE kind = 'taken'"
    ),
    "ck_payouts_drawer": (
        "payouts SET method = 'bank_transfer', reference = '1',"
        " drawer_session_id = (SELECT min(id) FROM drawer_sessions)"
    ),
    "ck_payments_method": "payments SET method = 'x', drawer_session_id = NULL",
    "ck_payments_reference": "payments SET method = 'card', reference = '', drawer_session_id = NULL",
    "ck_payments_settlement": ("payments SET credit_note_id = (SELECT min(id) FROM invoices) WHERE method = 'cash'"),
    "ck_payments_tendered": "payments SET tendered_amount = amount - 1",
    "ck_payouts_amount": "payouts SET amount = 0",
    "ck_payouts_method": "payouts SET method = 'x', drawer_session_id = NULL",
    "ck_payouts_reference": ("payouts SET method = 'bank_transfer', reference = '', drawer_session_id = NULL"),
    "ck_plan_items_bonus": "plan_items SET bonus_sessions = -1",
    "ck_plan_items_sessions": "plan_items SET sessions = 0",
    "ck_plans_price": "plans SET price_amount = -1",
    "ck_plans_validity": "plans SET validity_days = 0",
    "ck_plans_validity_months": "plans SET validity_days = NULL, validity_months = 0",
    "ck_plans_validity_unit": "plans SET validity_days = NULL",
    "ck_plans_vat_rate": "plans SET vat_rate_bp = 10001",
    "ck_product_stocks_low": "product_stocks SET low_quantity = -1",
    "ck_product_stocks_on_hand": "product_stocks SET on_hand = -1",
    "ck_products_price": "products SET price_amount = -1",
    "ck_products_sku": "products SET sku = ''",
    "ck_products_vat_rate": "products SET vat_rate_bp = 10001",
    "ck_promotion_uses_discount": "promotion_uses SET discount_amount = 0",
    "ck_promotions_code": "promotions SET code = 'TẾT ' || id",
    "ck_promotions_discount": "promotions SET percent_bp = NULL, discount_amount = 0",
    "ck_promotions_max_uses": "promotions SET max_uses = 0, used_count = 0",
    "ck_promotions_max_uses_per_customer": "promotions SET max_uses_per_customer = 0",
    "ck_promotions_minimum": "promotions SET minimum_amount = -1",
    "ck_promotions_one_discount": "promotions SET discount_amount = 5",
    "ck_promotions_percent": "promotions SET percent_bp = 10001",
    "ck_promotions_used_not_negative": "promotions SET used_count = -1",
    "ck_promotions_used_within": "promotions SET used_count = max_uses + 1",
    "ck_promotions_window": "promotions SET starts_on = '2026-02-01', ends_on = '2026-01-31'",
    "ck_prints_copy_number": "prints SET copy_number = -1",
    "ck_prints_paper": "prints SET paper = 'x'",
    "ck_prints_way": "prints SET way = 'x'",
    "ck_resource_types_kind": "resource_types SET kind = 'x'",
    "ck_resources_places": "resources SET places = 0",
    "ck_roster_weeks_monday": "roster_weeks SET monday = monday + 1",
    "ck_roster_weeks_something": "roster_weeks SET has_draft = false, published_at = NULL",
    "ck_service_resources_from": "service_resources SET from_minutes = -1, length_minutes = 5",
    "ck_service_resources_length": "service_resources SET length_minutes = 0",
    "ck_service_resources_part_has_length": "service_resources SET from_minutes = 5, length_minutes = NULL",
    "ck_services_buffer_after": "services SET buffer_after_minutes = -1",
    "ck_services_buffer_before": "services SET buffer_before_minutes = 121",
    "ck_services_duration": "services SET duration_minutes = 0",
    "ck_services_price": "services SET price_amount = -1",
    "ck_services_vat_rate": "services SET vat_rate_bp = -1",
    "ck_shift_template_periods_order": "shift_template_periods SET ends_at = starts_at",
    "ck_staff_shifts_order": "staff_shifts SET ends_at = starts_at",
    "ck_stock_movements_kind": "stock_movements SET kind = 'x'",
    "ck_stock_movements_line_named": "stock_movements SET invoice_line_id = NULL WHERE kind = 'sold'",
    "ck_stock_movements_sign": "stock_movements SET quantity = -quantity WHERE kind = 'sold'",
    "ck_treatment_entries_counterpart": "treatment_entries SET counterpart_id = NULL WHERE kind = 'transfer_in'",
    "ck_treatment_entries_days": "treatment_entries SET days = 5 WHERE kind = 'hold'",
    "ck_treatment_entries_kind": "treatment_entries SET kind = 'x'",
    "ck_treatment_entries_sign": "treatment_entries SET sessions = 5 WHERE kind = 'hold'",
    "ck_treatment_entries_visit_named": "treatment_entries SET booking_item_id = NULL WHERE kind = 'hold'",
    "ck_treatment_shares_limit": "treatment_shares SET session_limit = 0",
    "ck_users_locale": "users SET locale = 'x'",
    "ck_users_role": "users SET role = 'x'",
    "ck_users_theme": "users SET theme = 'x'",
    "ck_waitlist_entries_dates": "waitlist_entries SET last_on = first_on - 1",
    "ck_waitlist_entries_status": "waitlist_entries SET status = 'x'",
    "ck_waitlist_entries_times": "waitlist_entries SET from_time = '12:00', until_time = '12:00'",
    "ck_waitlist_entries_weekdays": "waitlist_entries SET weekdays = 0",
    "ck_waitlist_entries_withdraw_reason": "waitlist_entries SET status = 'withdrawn'",
    "ex_booking_items_staff": (
        "booking_items SET staff_id = (SELECT min(id) FROM staff), starts_at = '2026-01-01 10:00Z',"
        " ends_at = '2026-01-01 11:00Z', occupied = tstzrange('2026-01-01 10:00Z', '2026-01-01 11:00Z')"
    ),
    "ex_booking_item_resources_place": (
        "booking_item_resources SET party_id = (SELECT min(id) FROM parties), place = 2,"
        " resource_id = (SELECT min(id) FROM resources),"
        " occupied = tstzrange('2026-01-01 10:00Z', '2026-01-01 11:00Z')"
    ),
    "ex_booking_item_resources_resource": (
        "booking_item_resources SET resource_id = (SELECT min(id) FROM resources),"
        " occupied = tstzrange('2026-01-01 10:00Z', '2026-01-01 11:00Z')"
    ),
    "ex_draft_shifts_overlap": "draft_shifts SET starts_at = '09:00', ends_at = '18:00'",
    "ex_shift_template_periods_overlap": "shift_template_periods SET starts_at = '09:00', ends_at = '18:00'",
    "ex_staff_shifts_overlap": "staff_shifts SET starts_at = '09:00', ends_at = '18:00'",
    "uq_accounts_code": "accounts SET code = '1'",
    "uq_bookings_live_waitlist_entry": (
        "bookings SET waitlist_entry_id = (SELECT min(id) FROM waitlist_entries) WHERE status = 'completed'"
    ),
    "uq_branch_exceptions_branch_id_happens_on_opens_at": "branch_exceptions SET opens_at = NULL, closes_at = NULL",
    "uq_branch_hours_branch_id_weekday_opens_at": "branch_hours SET weekday = 0",
    "uq_branches_code": "branches SET code = 'SAME'",
    "uq_customer_treatments_import_ref": "customer_treatments SET import_ref = 'same'",
    "uq_customer_files_stored_as": "customer_files SET stored_as = '6f9619ff-8b86-d011-b42d-00cf4fc964ff'",
    "uq_customer_links_pair": (
        "customer_links SET customer_id = CASE WHEN relation = 'parent' THEN 1 ELSE 2 END,"
        " relative_id = CASE WHEN relation = 'parent' THEN 2 ELSE 1 END"
    ),
    "uq_customer_merges_open": "customer_merges SET merged_id = (SELECT max(id) FROM customers)",
    "uq_customers_import_ref": "customers SET import_ref = 'same'",
    "uq_customers_phone": "customers SET phone = '+84901234567'",
    "uq_day_closes_branch_id_z_number": "day_closes SET z_number = 1",
    "uq_day_closes_live": (
        "day_closes SET closed_on = '2026-01-01', reopened_at = NULL, reopened_by_id = NULL, reopen_reason = ''"
    ),
    "uq_drawer_sessions_open": (
        "drawer_sessions SET drawer_id = (SELECT min(id) FROM drawers), closed_at = NULL, closed_by_id = NULL,"
        " expected_amount = NULL, counted_amount = NULL, variance_amount = NULL, left_amount = NULL,"
        " denominations = NULL"
    ),
    "uq_drawers_branch_id_name": "drawers SET name = 'same'",
    "uq_gift_card_entries_issue": (
        "gift_card_entries SET kind = 'issue', amount = 1, expires_on = NULL, payment_id = NULL,"
        " gift_card_id = (SELECT min(id) FROM gift_cards)"
    ),
    "uq_gift_card_entries_redeem": (
        "gift_card_entries SET kind = 'redeem', amount = -1, expires_on = NULL,"
        " payment_id = (SELECT min(id) FROM payments)"
    ),
    "uq_gift_cards_code": "gift_cards SET code = 'AAAAAAAAAAAA'",
    "uq_gift_cards_invoice_line_id": "gift_cards SET invoice_line_id = (SELECT min(id) FROM invoice_lines)",
    "uq_invoice_lines_invoice_id_position": (
        "invoice_lines SET invoice_id = (SELECT min(id) FROM invoices), position = 1"
    ),
    "uq_invoices_live_booking": "invoices SET booking_id = (SELECT min(id) FROM bookings) WHERE kind = 'invoice'",
    "uq_invoices_number": "invoices SET number = 'same'",
    "uq_invoices_replaces_id": ("invoices SET replaces_id = (SELECT min(id) FROM invoices) WHERE kind = 'invoice'"),
    "uq_job_runs_job_branch_id_run_for": "job_runs SET run_for = '2026-01-01'",
    "uq_plan_items_plan_id_service_id": "plan_items SET plan_id = (SELECT min(id) FROM plans), service_id = NULL",
    "uq_plans_name": "plans SET name = 'same'",
    "uq_product_stocks_product_id_branch_id": ("product_stocks SET product_id = (SELECT min(id) FROM products)"),
    "uq_products_name": "products SET name = 'same'",
    "uq_products_sku": "products SET sku = 'same'",
    "uq_promotion_uses_live": "promotion_uses SET invoice_id = (SELECT min(id) FROM invoices)",
    "uq_promotions_code": "promotions SET code = 'SAME'",
    "uq_prints_invoice_id_paper_paid_amount_copy_number": "prints SET copy_number = 0",
    "uq_resource_types_name": "resource_types SET name = 'same'",
    "uq_resources_branch_id_name": "resources SET branch_id = (SELECT min(id) FROM branches), name = 'same'",
    "uq_roster_weeks_branch_id_monday": (
        "roster_weeks SET branch_id = (SELECT min(id) FROM branches), monday = '2026-01-05'"
    ),
    "uq_shift_templates_branch_id_name": "shift_templates SET name = 'same'",
    "uq_services_name": "services SET name = 'same'",
    "uq_treatment_entries_counterpart_id": (
        "treatment_entries SET kind = 'transfer_in', sessions = 1, days = NULL,"
        " counterpart_id = (SELECT min(id) FROM treatment_entries)"
    ),
    "uq_treatment_entries_live_hold": (
        "treatment_entries SET kind = 'hold', sessions = -1, closed_by_id = NULL,"
        " booking_item_id = (SELECT min(id) FROM booking_items)"
    ),
    "uq_treatment_entries_live_punch": (
        "treatment_entries SET kind = CASE WHEN id % 2 = 0 THEN 'punch' ELSE 'forfeit' END, sessions = -1,"
        " closed_by_id = NULL, booking_item_id = (SELECT min(id) FROM booking_items)"
    ),
    "uq_treatment_shares_live": (
        "treatment_shares SET treatment_id = (SELECT min(id) FROM customer_treatments),"
        " customer_id = (SELECT min(id) FROM customers), ended_by_id = NULL"
    ),
    "uq_users_username": "users SET username = CASE WHEN id % 2 = 0 THEN 'Same' ELSE 'sAME' END",
}

# Targets of foreign keys: they hold an id that the primary key holds too, and fire only where that is gone.
BREAKING_COPIES = {
    "uq_bookings_id_status": (
        "bookings",
        "INSERT INTO bookings (id, branch_id, customer_id, status, starts_at, cancel_reason)"
        " SELECT id, branch_id, customer_id, status, starts_at, cancel_reason FROM bookings",
    ),
    "uq_booking_items_id_occupies": (
        "booking_items",
        "INSERT INTO booking_items (id, booking_id, booking_status, position, service_id, staff_id, starts_at, ends_at,"
        " occupied, price_amount, vat_rate_bp) SELECT id, booking_id, booking_status, position, service_id, staff_id,"
        " starts_at, ends_at, occupied, price_amount, vat_rate_bp FROM booking_items WHERE NOT occupies",
    ),
}

APPEND_ONLY = (
    "audit_log",
    "cash_movements",
    "gift_card_entries",
    "deposit_entries",
    "invoice_lines",
    "journal_entries",
    "journal_lines",
    "payments",
    "payouts",
    "prints",
    "record_accesses",
    "stock_movements",
    "treatment_entries",
)
CLOSED_SESSION = "FROM drawer_sessions s JOIN drawers d ON d.id = s.drawer_id WHERE s.closed_at IS NOT NULL LIMIT 1"
MERGED = "(SELECT min(merged_id) FROM customer_merges)"

# trigger: (the constraint name that it reports, statements each of which it must refuse)
BREAKING_STATEMENTS = {
    **{
        f"tr_{table}_append_only": (
            f"tr_{table}_append_only",
            (f"UPDATE {table} SET id = id", f"DELETE FROM {table}"),
        )
        for table in APPEND_ONLY
    },
    **{f"tr_{table}_no_truncate": (f"tr_{table}_append_only", (f"TRUNCATE {table} CASCADE",)) for table in APPEND_ONLY},
    "tr_customer_treatments_counters": (
        "tr_customer_treatments_counters",
        (
            "UPDATE customer_treatments SET used_sessions = used_sessions + 1"
            " WHERE used_sessions + held_sessions + expired_sessions < total_sessions",
            "UPDATE customer_treatments SET held_sessions = 0 WHERE held_sessions = 1",
            "UPDATE customer_treatments SET total_sessions = total_sessions + 1",
            "INSERT INTO customer_treatments (customer_id, branch_id, total_sessions, deferred_amount, expiry_date)"
            " SELECT customer_id, branch_id, 1, 0, expiry_date FROM customer_treatments LIMIT 1",
        ),
    ),
    "tr_treatment_entries_counters": (
        "tr_customer_treatments_counters",
        (
            "INSERT INTO treatment_entries (treatment_id, kind, sessions)"
            " SELECT id, 'adjust', 1 FROM customer_treatments LIMIT 1",
        ),
    ),
    "tr_gift_cards_balance": (
        "tr_gift_cards_balance",
        (
            "UPDATE gift_cards SET balance_amount = balance_amount + 1 WHERE cancelled_at IS NULL",
            "UPDATE gift_cards SET initial_amount = initial_amount + 1",
            "UPDATE gift_cards SET expired_amount = expired_amount + 1",
            "INSERT INTO gift_cards (code, branch_id, initial_amount, balance_amount)"
            " SELECT 'AAAAAAAAAAAA', min(id), 5, 5 FROM branches",
        ),
    ),
    "tr_gift_card_entries_balance": (
        "tr_gift_cards_balance",
        ("INSERT INTO gift_card_entries (gift_card_id, kind, amount) SELECT min(id), 'adjust', 5 FROM gift_cards",),
    ),
    "tr_deposits_balance": (
        "tr_deposits_balance",
        ("UPDATE deposits SET balance_amount = balance_amount - 1", "UPDATE deposits SET amount = amount + 1"),
    ),
    "tr_deposit_entries_balance": (
        "tr_deposits_balance",
        (
            "INSERT INTO deposit_entries (deposit_id, kind, amount, method, reason)"
            " SELECT id, 'returned', -1, 'cash', 'lost' FROM deposits",
        ),
    ),
    "tr_invoices_issued": (
        "tr_invoices_issued",
        (
            "UPDATE invoices SET total_amount = total_amount + 1",
            "UPDATE invoices SET number = number || '!'",
            "UPDATE invoices SET treatment_id = (SELECT max(id) FROM customer_treatments)",
            "UPDATE invoices SET replaces_id = NULL WHERE replaces_id IS NOT NULL",
            "DELETE FROM invoices",
        ),
    ),
    "tr_invoices_customer": (
        "tr_invoices_customer",
        ("UPDATE invoices SET customer_id = (SELECT max(id) FROM customers)",),
    ),
    **{
        f"tr_{table}_live_customer": (
            f"tr_{table}_live_customer",
            (f"UPDATE {table} SET customer_id = {MERGED}{more}",),
        )
        for table, more in (
            ("bookings", ", version = version + 1"),
            ("customer_files", ""),
            ("customer_treatments", ""),
            ("gift_cards", ""),
            ("waitlist_entries", ", version = version + 1"),
        )
    },
    "tr_invoices_live_customer": (
        "tr_invoices_live_customer",
        (
            "INSERT INTO invoices (branch_id, customer_id, number, status, total_amount, vat_amount, issued_at)"
            f" SELECT min(branch_id), {MERGED}, 'X', 'draft', 0, 0, now() FROM invoices",
        ),
    ),
    "tr_invoices_sums": (
        "tr_invoices_sums",
        ("UPDATE invoices SET paid_amount = total_amount, status = 'paid' WHERE status = 'open'",),
    ),
    "tr_invoice_lines_sums": (
        "tr_invoices_sums",
        (
            "INSERT INTO invoice_lines (invoice_id, position, kind, description, quantity, amount, vat_amount,"
            " vat_rate_bp) SELECT min(id), 99, 'fee', 'x', 1, 5, 0, 0 FROM invoices",
        ),
    ),
    "tr_payments_sums": (
        "tr_invoices_sums",
        (
            "INSERT INTO payments (invoice_id, branch_id, method, amount, tendered_amount)"
            " SELECT min(id), min(branch_id), 'cash', 1, 1 FROM invoices",
        ),
    ),
    "tr_invoices_credited": (
        "tr_invoices_credited",
        (
            "INSERT INTO invoices (branch_id, customer_id, kind, number, status, total_amount, vat_amount, corrects_id,"
            " issued_at) SELECT branch_id, customer_id, 'credit_note', 'X', 'paid', -1, 0, id, now() FROM invoices"
            " WHERE status = 'paid' AND kind = 'invoice' AND total_amount > 0 LIMIT 1",
        ),
    ),
    "tr_invoices_credited_changed": (
        "tr_invoices_credited",
        (
            "UPDATE invoices SET credited_amount = credited_amount + 1 WHERE paid_amount > credited_amount + 1",
            "UPDATE invoices SET credited_amount = credited_amount - 1, is_credited = false WHERE credited_amount > 0",
            "UPDATE invoices SET status = 'void', voided_at = now() WHERE kind = 'credit_note' AND corrects_id > 0"
            " AND status = 'paid' AND total_amount < 0",
        ),
    ),
    "tr_invoice_lines_back": (
        "tr_invoice_lines_back",
        tuple(
            "INSERT INTO invoice_lines (invoice_id, position, kind, description, quantity, amount, vat_amount,"
            f" vat_rate_bp, corrects_id) SELECT b.invoice_id, 99, {kind}, 'x', -1, {amount}, {vat}, 0, {line}"
            " FROM invoice_lines b WHERE b.corrects_id IS NOT NULL ORDER BY b.id DESC LIMIT 1"
            for kind, amount, vat, line in (
                ("b.kind", "-99999999", "0", "b.corrects_id"),
                ("b.kind", "99999999", "0", "b.corrects_id"),
                ("b.kind", "0", "-99999999", "b.corrects_id"),
                ("'fee'", "0", "0", "b.corrects_id"),
                ("b.kind", "0", "0", "b.id"),
            )
        ),
    ),
    "tr_payouts_paid_back": (
        "tr_payouts_paid_back",
        (
            "INSERT INTO payouts (invoice_id, branch_id, method, amount, entry_id)"
            " SELECT invoice_id, branch_id, 'cash', 99999999, entry_id FROM payouts LIMIT 1",
            # Within what the note gives, but out of a payment that brought less, or that was made otherwise.
            "INSERT INTO payouts (invoice_id, branch_id, method, amount, payment_id, entry_id)"
            " SELECT n.id, n.branch_id, 'cash', 100001, p.id, (SELECT min(id) FROM journal_entries)"
            " FROM payments p JOIN invoices n ON n.corrects_id = p.invoice_id AND n.total_amount = -300000"
            " WHERE p.method = 'cash' AND p.amount = 100000",
            "INSERT INTO payouts (invoice_id, branch_id, method, amount, reference, payment_id, entry_id)"
            " SELECT n.id, n.branch_id, 'card', 1, 'x', p.id, (SELECT min(id) FROM journal_entries)"
            " FROM payments p JOIN invoices n ON n.corrects_id = p.invoice_id AND n.total_amount = -300000"
            " WHERE p.method = 'cash' AND p.amount = 100000",
            "INSERT INTO payouts (invoice_id, branch_id, method, amount, entry_id)"
            " SELECT id, branch_id, 'cash', 1, (SELECT min(id) FROM journal_entries) FROM invoices"
            " WHERE kind = 'invoice' LIMIT 1",
        ),
    ),
    "tr_payments_paid_back": (
        "tr_payouts_paid_back",
        (
            "INSERT INTO payments (invoice_id, branch_id, method, amount, tendered_amount, credit_note_id)"
            " SELECT corrects_id, branch_id, 'store_credit', 99999999, 99999999, id FROM invoices"
            " WHERE corrects_id IS NOT NULL LIMIT 1",
        ),
    ),
    "tr_bookings_version": (
        "tr_bookings_version",
        (
            "UPDATE bookings SET note = 'lost'",
            "UPDATE bookings SET version = version + 2",
            "UPDATE bookings SET version = version - 1",
        ),
    ),
    "tr_bookings_party": (
        "tr_bookings_party",
        (
            "UPDATE bookings SET version = version + 1, party_id = NULL WHERE party_id IS NOT NULL",
            "UPDATE bookings SET version = version + 1, party_id = (SELECT min(id) FROM parties)"
            " WHERE party_id IS NULL",
            "UPDATE bookings SET version = version + 1, party_id = (SELECT min(id) FROM parties)"
            " WHERE party_id = (SELECT max(id) FROM parties)",
        ),
    ),
    "tr_booking_item_resources_party": (
        "tr_booking_item_resources_party",
        (
            "UPDATE booking_item_resources SET party_id = (SELECT min(id) FROM parties) WHERE party_id IS NULL",
            "UPDATE booking_item_resources SET place = 3 WHERE place = 2",
            "UPDATE booking_item_resources SET resource_id = (SELECT min(id) FROM resources) WHERE place = 2",
            "INSERT INTO booking_item_resources (booking_item_id, resource_id, occupied, occupies, party_id)"
            " SELECT i.id, r.id, i.occupied, i.occupies, p.id FROM booking_items i"
            " JOIN bookings b ON b.id = i.booking_id, resources r, parties p WHERE b.party_id IS NULL LIMIT 1",
        ),
    ),
    "tr_resources_places": (
        "tr_resources_places",
        ("UPDATE resources SET places = 1 WHERE places = 2",),
    ),
    "tr_journal_entries_closed_day": (
        "tr_journal_entries_closed_day",
        (
            "INSERT INTO journal_entries (branch_id, event, posted_on)"
            " SELECT branch_id, 'cash_moved', closed_on FROM day_closes WHERE reopened_at IS NULL",
            "INSERT INTO journal_entries (branch_id, event, posted_on)"
            " SELECT branch_id, 'cash_moved', min(closed_on) - 30 FROM day_closes GROUP BY branch_id",
        ),
    ),
    "tr_invoices_closed_day": (
        "tr_invoices_closed_day",
        (
            "INSERT INTO invoices (branch_id, customer_id, number, status, total_amount, vat_amount, issued_at)"
            " SELECT branch_id, (SELECT id FROM customers WHERE merged_into_id IS NULL LIMIT 1), 'X', 'paid', 0, 0,"
            " min(closed_on) - interval '1 day' FROM day_closes GROUP BY branch_id",
        ),
    ),
    **{
        f"tr_{table}_open_session": (f"tr_{table}_open_session", (f"INSERT INTO {table} {columns} {CLOSED_SESSION}",))
        for table, columns in (
            ("cash_movements", "(branch_id, drawer_session_id, kind, amount, reason) SELECT {}, 'drop', 1, 'x'"),
            (
                "payments",
                "(branch_id, drawer_session_id, invoice_id, method, amount, tendered_amount)"
                " SELECT {}, (SELECT min(id) FROM invoices), 'cash', 1, 1",
            ),
            (
                "deposits",
                "(branch_id, drawer_session_id, booking_id, method, amount, balance_amount)"
                " SELECT {}, (SELECT min(id) FROM bookings), 'cash', 1, 1",
            ),
            (
                "deposit_entries",
                "(drawer_session_id, deposit_id, kind, method, amount, reason)"
                " SELECT s.id, (SELECT min(id) FROM deposits), 'returned', 'cash', -1, 'x'",
            ),
            (
                "payouts",
                "(branch_id, drawer_session_id, invoice_id, method, amount)"
                " SELECT {}, (SELECT min(id) FROM invoices), 'cash', 1",
            ),
        )
        for columns in (columns.format("d.branch_id, s.id"),)
    },
    "tr_drawer_sessions_kept": (
        "tr_drawer_sessions_kept",
        (
            "UPDATE drawer_sessions SET opened_at = now() WHERE closed_at IS NULL",
            "UPDATE drawer_sessions SET opening_float_amount = 5 WHERE closed_at IS NULL",
            "UPDATE drawer_sessions SET left_amount = 0 WHERE left_amount IS NOT NULL",
            "UPDATE drawer_sessions SET closed_at = NULL WHERE closed_at IS NOT NULL",
            "DELETE FROM drawer_sessions",
        ),
    ),
    "tr_drawer_sessions_expected": (
        "tr_drawer_sessions_expected",
        (
            "UPDATE drawer_sessions SET closed_at = now(), expected_amount = opening_float_amount + 1"
            " WHERE closed_at IS NULL",
            "UPDATE drawer_sessions SET closed_at = now(), expected_amount = opening_float_amount, counted_amount = 5,"
            " variance_amount = 5 - opening_float_amount, left_amount = 3, denominations = '{}'"
            " WHERE closed_at IS NULL",
        ),
    ),
    "tr_day_closes_takings": (
        "tr_day_closes_takings",
        (
            "INSERT INTO day_closes (branch_id, closed_on, z_number, closed_at, totals, open_invoices, open_amount)"
            ' SELECT min(branch_id), max(closed_on) + 1, 99, now(), \'{"takings": {"cash": 1}}\', 0, 0 FROM day_closes',
            "INSERT INTO day_closes (branch_id, closed_on, z_number, closed_at, totals, open_invoices, open_amount)"
            " SELECT min(branch_id), max(closed_on) + 1, 99, now(), '{}', 0, 0 FROM day_closes",
        ),
    ),
    "tr_day_closes_kept": (
        "tr_day_closes_kept",
        (
            "UPDATE day_closes SET totals = '{}'",
            "UPDATE day_closes SET reopen_reason = 'another' WHERE reopened_at IS NOT NULL",
            "UPDATE day_closes SET reopened_at = NULL, reopen_reason = '' WHERE reopened_at IS NOT NULL",
            "DELETE FROM day_closes",
        ),
    ),
    "tr_journal_entries_balanced": (
        "tr_journal_entries_balanced",
        (
            "INSERT INTO journal_entries (branch_id, event, posted_on)"
            " SELECT min(id), 'plan_sold', current_date FROM branches",
        ),
    ),
    "tr_journal_lines_balanced": (
        "tr_journal_entries_balanced",
        ("INSERT INTO journal_lines (entry_id, account_id, amount) SELECT min(id), 1110, 5 FROM journal_entries",),
    ),
}


def _refusal(connection: psycopg.Connection, statement: str) -> str | None:
    """The name of the constraint that refuses a statement, at once or at the commit; None when all is well."""
    try:
        with connection.transaction():
            connection.execute(statement)
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.IntegrityError as error:
        return error.diag.constraint_name
    return None


def _without_triggers(connection: psycopg.Connection, table: str) -> None:
    connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(sql.Identifier(table)))


@pytest.mark.parametrize("name", BREAKING_UPDATES)
def test_a_constraint_refuses_by_its_name(connection, name):
    update = BREAKING_UPDATES[name]
    _without_triggers(connection, update.split()[0])

    assert _refusal(connection, f"UPDATE {update}") == name


@pytest.mark.parametrize("name", BREAKING_COPIES)
def test_the_target_of_a_foreign_key_refuses_by_its_name(connection, name):
    table, insert = BREAKING_COPIES[name]
    connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT pk_{table} CASCADE")

    assert _refusal(connection, insert) == name


def test_every_foreign_key_refuses_by_its_name(connection):
    keys = connection.execute(FOREIGN_KEYS).fetchall()
    assert len(keys) > 50
    refused = {}
    for name, table, column in keys:
        with connection.transaction(force_rollback=True):
            _without_triggers(connection, table)
            value = "tstzrange(NULL, NULL)" if column == "occupied" else "-1"
            # A row that has the reference, if there is one: for the others it may be forbidden by a check.
            refused[name] = _refusal(
                connection,
                f"UPDATE {table} SET {column} = {value}"
                f" WHERE ctid = (SELECT ctid FROM {table} ORDER BY {column} NULLS LAST LIMIT 1)",
            )

    assert refused == {name: name for name, _, _ in keys}


@pytest.mark.parametrize("name", BREAKING_STATEMENTS)
def test_a_trigger_refuses_what_nothing_else_would(connection, name):
    reported, statements = BREAKING_STATEMENTS[name]
    table = dict(connection.execute(TRIGGERS).fetchall())[name]

    assert [_refusal(connection, statement) for statement in statements] == [reported] * len(statements)
    # The negative control: without it, the same statements go through or meet another guard.
    connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
    assert reported not in [_refusal(connection, statement) for statement in statements[:1]] or "_no_truncate" in name


def test_nothing_in_the_schema_is_without_a_violating_case(connection):
    constraints = {name for (name,) in connection.execute(CONSTRAINTS)}
    keys = {name for name, _, _ in connection.execute(FOREIGN_KEYS)}
    triggers = {name for name, _ in connection.execute(TRIGGERS)}

    cased = BREAKING_UPDATES.keys() | BREAKING_COPIES.keys() | keys | BREAKING_STATEMENTS.keys()

    assert constraints | triggers == cased
    assert all(name.startswith(("ck_", "uq_", "ex_", "fk_", "tr_")) for name in cased)


def test_an_entry_may_be_closed_once_and_only_that(connection):
    open_entry = "WHERE id = (SELECT min(id) FROM treatment_entries WHERE kind = 'purchase')"

    assert _refusal(connection, f"UPDATE treatment_entries SET closed_by_id = id, reason = 'x' {open_entry}")
    assert _refusal(connection, f"UPDATE treatment_entries SET closed_by_id = id {open_entry}") is None
    assert _refusal(connection, f"UPDATE treatment_entries SET closed_by_id = NULL {open_entry}")
    assert _refusal(connection, f"UPDATE treatment_entries SET closed_by_id = id {open_entry}")

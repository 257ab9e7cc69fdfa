"""Invoices, payments, receipts and the list of sales."""

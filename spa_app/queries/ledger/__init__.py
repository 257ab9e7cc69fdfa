"""The ledger as it is read: balances, accounts, entries, what prepaid sessions are owed for, and the journal as a file.

Amounts are minor units, debits positive; a period is local dates of the branch, bounds included.
"""

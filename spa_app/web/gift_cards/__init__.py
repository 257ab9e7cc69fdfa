"""Gift cards: the list, each one's page and voucher, selling one, and its balance at the checkout."""

"""Visits: the panel, the booking form and the free slots."""

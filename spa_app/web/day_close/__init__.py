"""Drawers with their counts, the close of a day, and its Z-report."""

"""Managers' reports and their exports."""

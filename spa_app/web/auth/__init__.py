"""Logging in and out, and what a user prefers."""

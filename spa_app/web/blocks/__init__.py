"""Blocked time: a therapist's break or leave, a closed room."""

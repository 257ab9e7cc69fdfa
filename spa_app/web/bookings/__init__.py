"""Visits: the panel, the booking form and the free slots."""

from flask import Blueprint

bp = Blueprint("bookings", __name__)

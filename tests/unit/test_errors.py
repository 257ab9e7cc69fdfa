"""Refusals as facts."""

import pytest

from spa_app.errors import (
    ConflictError,
    DomainError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    SlotTakenError,
    WayOut,
    Word,
    WrongStateError,
)


def test_a_refusal_carries_what_the_page_needs():
    way = WayOut("pay", "Pay", {"id": 7})
    error = ConflictError("overpaid", "Only %(due)s is left.", field="amount", ways_out=(way,), due=Word("nothing"))

    assert str(error) == "Only nothing is left."
    assert (error.code, error.message, error.field, error.ways_out) == (
        "overpaid", "Only %(due)s is left.", "amount", (way,)
    )  # fmt: skip
    assert str(error.params["due"]) == "nothing"


def test_a_message_without_parameters_may_hold_a_percent_sign():
    assert str(InvalidError("no", "100 % sure")) == "100 % sure"


@pytest.mark.parametrize("kind", [InvalidError, ConflictError, NotAllowedError, NotFoundError])
def test_the_kinds_are_refusals(kind):
    assert issubclass(kind, DomainError)


def test_a_taken_slot_and_a_wrong_state_are_conflicts():
    assert issubclass(SlotTakenError, ConflictError)
    assert issubclass(WrongStateError, ConflictError)

"""The move that takes a move back, as the fields of its form."""

from collections.abc import Sequence

from spa_app.queries.bookings import Visit
from spa_app.web.security import local_timezone
from spa_app.web.times import format_local


def way_back(before: Visit, after: Visit) -> dict[str, str] | None:
    """What the form that moves a visit has to say to bring ``after`` back to ``before``; None where one cannot.

    The others of a party come back along, if they went along.
    """
    fields = {"starts_at": format_local(before.starts_at, local_timezone()), "version": str(after.version)}
    if [one.starts_at for one in before.mates] != [one.starts_at for one in after.mates]:
        fields["seen"] = " ".join(f"{mate.booking_id}.{mate.version}" for mate in after.mates)
    elif after.mates:
        fields["only_this"] = "y"
    pairs = list(zip(before.items, after.items, strict=True))
    changed = [
        old
        for old, new in pairs
        if (old.staff_id, old.resources, old.minutes) != (new.staff_id, new.resources, new.minutes)
    ]
    first = before.items[0]
    if len(changed) < 2:
        one = changed[0] if changed else first
        fields |= {"item_id": str(one.id), "staff_id": str(one.staff_id), "minutes": str(one.minutes)}
        if len(one.resources) == 1:
            fields["resource_id"] = str(one.resources[0][0])
        return fields
    # Several services had gone along with the first one, so they go back along with it.
    if not _follows([(old.staff_id, new.staff_id) for old, new in pairs]):
        return None
    fields["staff_id"] = str(first.staff_id)
    if len(first.resources) == 1 and _follows([(old.resources, new.resources) for old, new in pairs]):
        fields["resource_id"] = str(first.resources[0][0])
    return fields


def _follows(pairs: Sequence[tuple[object, object]]) -> bool:
    """Whether giving what the first had to all who now have the first one's brings each its own back."""
    was, now = pairs[0]
    return all(old == (was if new == now else new) for old, new in pairs)

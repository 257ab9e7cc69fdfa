"""The usual shifts of a branch, from which rosters are made. Those made before stay as they are."""

from sqlalchemy import delete, select

from spa_app.errors import N_, InvalidError, NotFoundError
from spa_app.extensions import db
from spa_app.models import ShiftTemplate, ShiftTemplatePeriod
from spa_app.queries.rosters import list_templates
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.rosters import Periods, as_json, check_periods
from spa_app.services.seen import require_unchanged
from spa_app.services.texts import clean_text
from spa_app.services.transaction import atomic

NAME_LENGTH = 40


def save_template(
    *,
    branch_id: int,
    name: str,
    periods: Periods,
    actor: Actor,
    template_id: int | None = None,
    seen: str | None = None,
) -> int:
    """Add a usual shift, or change one, and return its id. Locks it.

    Raises :class:`InvalidError` at ``name`` or ``periods``, :class:`NotFoundError` for one of another branch, and
    :class:`ConflictError` for a name in use, or where it is no longer as ``seen``.
    """
    actor.require_manager()
    actor.require_branch(branch_id)
    name = clean_text(name, field="name", limit=NAME_LENGTH, lines=False)
    if not name:
        raise InvalidError("name_missing", N_("Give a name."), field="name")
    check_periods(periods)
    if not periods:
        raise InvalidError("periods_missing", N_("Give at least one period."), field="starts_at")
    after = {"name": name, "periods": as_json(sorted(periods))}
    with atomic() as session:
        before = None
        if template_id is None:
            template = ShiftTemplate(branch_id=branch_id, name=name)
            session.add(template)
            session.flush()
        else:
            template = _locked(template_id, branch_id)
            before = _state(template)
            require_unchanged(before, seen)
            template.name = name
            session.execute(delete(ShiftTemplatePeriod).where(ShiftTemplatePeriod.template_id == template.id))
        session.add_all(
            ShiftTemplatePeriod(template_id=template.id, starts_at=begins, ends_at=ends) for begins, ends in periods
        )
        session.flush()
        audit.record(
            "shift_template_saved",
            entity="shift_template",
            entity_id=template.id,
            actor=actor,
            before=before,
            after=after,
        )
        return template.id


def delete_template(template_id: int, *, branch_id: int, actor: Actor) -> int:
    """Take a usual shift away and return its id. Raises :class:`NotFoundError` for one of another branch or none."""
    actor.require_manager()
    actor.require_branch(branch_id)
    with atomic() as session:
        template = _locked(template_id, branch_id)
        audit.record(
            "shift_template_deleted",
            entity="shift_template",
            entity_id=template_id,
            actor=actor,
            before=_state(template),
        )
        session.execute(delete(ShiftTemplatePeriod).where(ShiftTemplatePeriod.template_id == template_id))
        session.delete(template)
        return template_id


def _locked(template_id: int, branch_id: int) -> ShiftTemplate:
    query = select(ShiftTemplate).where(ShiftTemplate.id == template_id, ShiftTemplate.branch_id == branch_id)
    fresh = query.with_for_update().execution_options(populate_existing=True)
    template = db.session.execute(fresh).scalar_one_or_none()
    if template is None:
        raise NotFoundError("not_found", N_("There is no such thing in your branches."))
    return template


def _state(template: ShiftTemplate) -> dict[str, object]:
    return next(one.state for one in list_templates(template.branch_id) if one.id == template.id)

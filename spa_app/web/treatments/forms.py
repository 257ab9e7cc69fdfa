"""The form that sells a plan."""

from collections.abc import Sequence
from typing import Any

from flask_babel import lazy_gettext as _l
from wtforms import RadioField
from wtforms.validators import InputRequired

from spa_app.queries.treatments import PlanOption
from spa_app.web.forms import Form


class SellForm(Form):
    """Which plan."""

    plan_id = RadioField(_l("Package"), [InputRequired(_l("Choose a package."))], choices=[], coerce=int)

    def __init__(self, plans: Sequence[PlanOption], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plan_id.choices = [(plan.id, plan.name) for plan in plans]

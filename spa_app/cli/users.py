"""Logins."""

import click
from flask.cli import with_appcontext
from sqlalchemy import select

from spa_app.cli.servers import with_servers
from spa_app.config import LOCALES
from spa_app.errors import ConfigError, DomainError
from spa_app.extensions import db
from spa_app.models import ROLES, Branch
from spa_app.services import users
from spa_app.services.actor import SYSTEM


@click.command("create-user")
@click.argument("username")
@click.option("--role", type=click.Choice(ROLES), required=True)
@click.option("--name", "full_name", required=True, help="As it is shown, such as “Trần Minh Anh”.")
@click.option("--branch", "codes", multiple=True, metavar="CODE", help="A branch to work in; may be repeated.")
@click.option("--locale", type=click.Choice(LOCALES), help="The language of the screen; by default the installation's.")
@click.password_option(help="Asked for, unless given.")
@with_appcontext
def create_user(
    username: str, role: str, full_name: str, codes: tuple[str, ...], locale: str | None, password: str
) -> None:
    """Add a login. An owner works in every branch; everybody else in those given with --branch."""
    with with_servers():
        branches = dict(db.session.execute(select(Branch.code, Branch.id).where(Branch.code.in_(codes))).all())
        unknown = sorted(set(codes) - set(branches))
        if unknown:
            raise ConfigError(f"There is no branch {', '.join(unknown)}.")
        if role != "owner" and not branches:
            raise ConfigError(f"A {role} needs at least one --branch.")
        try:
            users.create_user(
                username=username,
                password=password,
                full_name=full_name,
                role=role,
                branch_ids=branches.values(),
                locale=locale,
                actor=SYSTEM,
            )
        except DomainError as error:
            raise ConfigError(str(error)) from error
    click.echo(f"{username} can log in now.")


commands = [create_user]

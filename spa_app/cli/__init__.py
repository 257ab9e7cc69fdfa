"""The flask commands, one module per area; each is a module with ``commands``, the list that is registered here."""

from flask import Flask

from spa_app.cli import backups, demo, exports, imports, nightly, serve, translations, up, users

AREAS = (
    backups,
    demo,
    exports,
    imports,
    nightly,
    serve,
    translations,
    up,
    users,
)


def init_app(app: Flask) -> None:
    """Register every command."""
    for area in AREAS:
        for command in area.commands:
            app.cli.add_command(command)

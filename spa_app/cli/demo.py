"""Demo data."""

import click
from flask import current_app
from flask.cli import with_appcontext

from spa_app.cli.servers import with_servers
from spa_app.services.demo import load_demo_data
from spa_app.services.demo_large import load_large_demo_data


@click.command("demo-data")
@click.option("--scale", type=click.Choice(["small", "large"]), default="small", show_default=True)
@with_appcontext
def demo_data(scale: str) -> None:
    """Fill an empty database with a spa to try things on; does nothing if there is data already.

    small: a day's work, made by the services themselves. large: three branches and half a million visits to measure on.
    """
    load = load_large_demo_data if scale == "large" else load_demo_data
    with with_servers():
        loaded = load(timezone=current_app.config["SETTINGS"].timezone)
    click.echo("Demo data loaded." if loaded else "There is data already; nothing was loaded.")


commands = [demo_data]

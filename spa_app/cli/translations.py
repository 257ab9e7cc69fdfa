"""`flask translations update` and `check`: the Vietnamese catalogue, from the msgids in code and templates."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po
from flask.cli import AppGroup

from spa_app.config import PROJECT_DIR

TRANSLATIONS = PROJECT_DIR / "spa_app" / "translations"
KEYWORDS = {**DEFAULT_KEYWORDS, "N_": None, "_l": None, "lazy_gettext": None}

translations = AppGroup("translations", help="Keep the catalogue in step with the msgids.")
commands = (translations,)


def extracted() -> Catalog:
    """Every msgid in code and templates."""
    mappings = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text())["tool"]["babel"]["mappings"]
    methods = [(mapping["pattern"], mapping["method"]) for mapping in mappings]
    found = Catalog()
    for _, _, message, _, context in extract_from_dir(
        PROJECT_DIR,
        methods,
        {"**": {"silent": "false"}},
        KEYWORDS,
        directory_filter=lambda path: not Path(path).name.startswith("."),
    ):
        found.add(message, context=context)
    return found


def catalogue(path: Path) -> Catalog:
    """The catalogue in a .po file."""
    with path.open("rb") as file:
        return read_po(file, locale="vi")


def faults() -> list[str]:
    """What keeps the Vietnamese catalogue from being complete: one line for each fault."""
    unmerged = [f"not merged: {part.relative_to(PROJECT_DIR)}" for part in _parts()]
    return unmerged + faults_of(catalogue(TRANSLATIONS / "vi" / "LC_MESSAGES" / "messages.po"), extracted())


def faults_of(translated: Catalog, wanted: Catalog) -> list[str]:
    """One line for each text that is untranslated, only guessed, or has other placeholders than its translation."""
    found = []
    for text in _messages(wanted):
        message = translated.get(text.id, text.context)
        if message is None or not all(_texts(message.string)):
            found.append(f"not translated: {text.id!r}")
        elif message.fuzzy:
            found.append(f"only guessed: {text.id!r}")
        else:
            found += [f"{error}: {text.id!r}" for error in message.check(translated)]
    return found


@translations.command("update")
def update() -> None:
    """Bring messages.po in step with the msgids, take parts/*.po in, and remove those parts."""
    path = TRANSLATIONS / "vi" / "LC_MESSAGES" / "messages.po"
    vietnamese = catalogue(path)
    wanted = extracted()
    for part in _parts():
        for message in _messages(catalogue(part)):
            if all(_texts(message.string)):
                vietnamese.delete(message.id, message.context)
                vietnamese.add(message.id, message.string, context=message.context)
    vietnamese.update(wanted, no_fuzzy_matching=True)
    vietnamese.obsolete.clear()
    with path.open("wb") as file:
        write_po(file, vietnamese, width=120, no_location=True, sort_output=True)
    for part in _parts():
        part.unlink()
    for fault in faults():
        click.echo(fault)


@translations.command("check")
def check() -> None:
    """Exit 1, with a line for each fault, unless everything is translated and merged."""
    found = faults()
    for fault in found:
        click.echo(fault)
    raise SystemExit(1 if found else 0)


def _parts() -> list[Path]:
    return sorted((TRANSLATIONS / "parts").glob("*.po"))


def _messages(source: Catalog) -> Iterator[Message]:
    return (message for message in source if message.id)


def _texts(text: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return (text or "",) if text is None or isinstance(text, str) else tuple(text)

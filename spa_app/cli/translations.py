"""`flask translations update` and `check`: the Vietnamese catalogue, from the msgids in code and templates."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po
from flask.cli import AppGroup

from spa_app.config import PROJECT_DIR

TRANSLATIONS = PROJECT_DIR / "spa_app" / "translations"
SOURCES = (
    (PROJECT_DIR / "spa_app", [("**.py", "python")]),
    (PROJECT_DIR / "templates", [("**.html", "jinja2"), ("**.txt", "jinja2")]),
)
KEYWORDS = {**DEFAULT_KEYWORDS, "N_": None, "_l": None, "lazy_gettext": None}
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")

translations = AppGroup("translations", help="Keep the catalogue in step with the msgids.")
commands = (translations,)


def extracted() -> Catalog:
    """Every msgid in code and templates."""
    found = Catalog()
    for folder, methods in SOURCES:
        for _, _, message, _, context in extract_from_dir(folder, methods, {"**": {"silent": "false"}}, KEYWORDS):
            found.add(message, context=context)
    return found


def catalogue(path: Path) -> Catalog:
    """The catalogue in a .po file."""
    with path.open("rb") as file:
        return read_po(file, locale="vi")


def faults() -> list[str]:
    """What keeps the Vietnamese catalogue from being complete: one line for each fault."""
    vietnamese = catalogue(TRANSLATIONS / "vi" / "LC_MESSAGES" / "messages.po")
    found = [f"not merged: {part.relative_to(PROJECT_DIR)}" for part in _parts()]
    for wanted in _messages(extracted()):
        message = vietnamese.get(wanted.id, wanted.context)
        texts = _texts(message.string) if message else ()
        if message is None or not texts or not all(texts) or message.fuzzy:
            found.append(f"not translated: {wanted.id!r}")
        elif any(_placeholders(text) - _placeholders(*_texts(wanted.id)) for text in texts):
            found.append(f"a placeholder that the original does not have: {wanted.id!r}")
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


def _placeholders(*texts: str) -> set[str]:
    return {name for text in texts for name in PLACEHOLDER.findall(text)}

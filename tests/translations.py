"""`python -m tests.translations` (part of `make check`): does each catalogue translate every text?"""

import sys
import tomllib
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po

from spa_app.config import LOCALES, PROJECT_DIR

_KEYWORDS = DEFAULT_KEYWORDS | {"lazy_gettext": None, "_l": None, "N_": None}


def main() -> int:
    """Print each text that lacks a translation; 0 if there is none."""
    texts = texts_of_the_application()
    faults = [
        f"{locale}: {fault}" for locale in LOCALES if locale != "en" for fault in faults_of(catalogue(locale), texts)
    ]
    print("\n".join(faults) or f"All {len(texts)} texts are translated.")
    return 1 if faults else 0


def texts_of_the_application() -> dict[str | tuple[str, ...], str]:
    """Each msgid (a tuple for a plural), with where it was found first."""
    mappings = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text())["tool"]["babel"]["mappings"]
    methods = [(mapping["pattern"], mapping["method"]) for mapping in mappings]
    texts: dict[str | tuple[str, ...], str] = {}
    for name, line, message, _comments, _context in extract_from_dir(
        PROJECT_DIR, methods, keywords=_KEYWORDS, directory_filter=lambda path: not Path(path).name.startswith(".")
    ):
        texts.setdefault(message if isinstance(message, str) else tuple(message), f"{name}:{line}")
    return texts


def catalogue(locale: str) -> Catalog:
    """The catalogue of ``locale``; an empty one if there is no file."""
    path = PROJECT_DIR / "spa_app" / "translations" / locale / "LC_MESSAGES" / "messages.po"
    if not path.exists():
        return Catalog(locale)
    with path.open("rb") as file:
        return read_po(file, locale)


def faults_of(translated: Catalog, texts: dict[str | tuple[str, ...], str]) -> list[str]:
    """One line for each text that is untranslated, only guessed, or has other placeholders than its translation."""
    faults = []
    for text, place in texts.items():
        message = translated.get(text)
        if message is None or not message.string or not all(message.string):
            faults.append(f"{place}: not translated: {text!r}")
        elif message.fuzzy:
            faults.append(f"{place}: marked fuzzy: {text!r}")
        else:
            faults.extend(f"{place}: {error}: {text!r}" for error in message.check(translated))
    return faults


if __name__ == "__main__":
    sys.exit(main())

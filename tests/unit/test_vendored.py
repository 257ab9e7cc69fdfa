"""What lies in static/ is what it says it is."""

import hashlib
import re

from spa_app.config import PROJECT_DIR

STATIC = PROJECT_DIR / "static"


def test_vendored_files_match_their_checksums():
    listed = dict(reversed(line.split()) for line in (STATIC / "vendor" / "CHECKSUMS").read_text().splitlines())

    assert listed == {name: hashlib.sha256((STATIC / name).read_bytes()).hexdigest() for name in listed}
    there = [*STATIC.glob("vendor/*.js"), *STATIC.glob("fonts/*.woff2")]
    assert {path.relative_to(STATIC).as_posix() for path in there} <= set(listed)


def test_the_font_of_the_papers_matches_its_checksums():
    fonts = PROJECT_DIR / "spa_app" / "papers" / "fonts"
    listed = dict(reversed(line.split()) for line in (fonts / "CHECKSUMS").read_text().splitlines())

    assert listed == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in fonts.glob("*.ttf")}


def test_every_icon_in_use_is_in_the_sprite():
    sprite = set(re.findall(r'<symbol id="([^"]+)"', (STATIC / "icons.svg").read_text()))
    used = set()
    for path in (PROJECT_DIR / "templates").rglob("*.html"):
        used |= set(re.findall(r'icon\("([a-z0-9-]+)"|icon_name="([a-z0-9-]+)"', path.read_text()))

    assert {name for pair in used for name in pair if name} <= sprite

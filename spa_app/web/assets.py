"""Static files: one address per content, kept by browsers for ever, compressed once.

The address is ``/static/<digest of all static files>/<name>``, so relative addresses in style sheets and modules stay
within the same version without any rewriting.
"""

import shutil
from functools import cache
from pathlib import Path

from flask import Flask
from markupsafe import Markup
from whitenoise import WhiteNoise
from whitenoise.compress import Compressor

from spa_app.web.prepared import digest, prepared

FOR_EVER = 365 * 24 * 3600


def init_app(app: Flask) -> None:
    """Serve the static files in front of the application and give templates ``static_url(name)``."""
    root = Path(app.static_folder or "")
    version = digest(root)

    def build(target: Path) -> None:
        shutil.copytree(root, target, dirs_exist_ok=True)
        compressor = Compressor(quiet=True)
        for path in [path for path in target.rglob("*") if path.is_file() and compressor.should_compress(path.name)]:
            compressor.compress(str(path))

    def static_url(name: str) -> str:
        """The address of a file under ``static/``, such as ``css/base.css``."""
        return f"/static/{version}/{name}"

    folder = prepared(app.config["SETTINGS"].data_dir, f"static-{version}", build)
    app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
        app.wsgi_app,
        root=str(folder),
        prefix=f"static/{version}/",
        max_age=FOR_EVER,
        immutable_file_test=lambda *_: True,
        allow_all_origins=False,
    )

    @cache
    def icon(name: str, class_: str = "") -> Markup:
        """A sign out of the sprite, for the eyes only: what it means stands beside it in words."""
        classes = f"icon {class_}".rstrip()
        address = f"{static_url('icons.svg')}#{name}"
        return Markup('<svg class="{}" aria-hidden="true"><use href="{}"></use></svg>').format(classes, address)

    app.jinja_env.globals.update(static_url=static_url, draw_icon=icon)

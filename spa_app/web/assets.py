"""Static files: one address per content, kept by browsers for ever, compressed once.

The address is ``/static/<digest of all static files>/<name>``, so relative addresses in style sheets and modules stay
within the same version without any rewriting.
"""

import shutil
from pathlib import Path

from flask import Flask
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
    app.jinja_env.globals["static_url"] = static_url

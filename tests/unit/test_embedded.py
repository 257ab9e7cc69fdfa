"""The embedded servers: started, attached to, killed, started again."""

import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import redis

from spa_app.config import PROJECT_DIR
from spa_app.embedded import (
    EmbeddedPostgres,
    EmbeddedRedis,
    embedded_database_url,
    embedded_redis_url,
    kept_secret_key,
    make_secret_key,
)
from spa_app.embedded.process import is_alive, wait_until
from spa_app.errors import ConfigError


@pytest.fixture
def server(open_folder):
    """A PostgreSQL of its own with its crash safety on."""
    server = EmbeddedPostgres(open_folder(), shared_buffers="16MB", max_connections=20)
    yield server
    server.stop()


@pytest.fixture
def redis_server(open_folder):
    server = EmbeddedRedis(open_folder())
    yield server
    server.stop()


def _run(url: str, statement: str) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_the_addresses_are_known_before_anything_runs_and_stay(tmp_path):
    folder = tmp_path / "data"

    first = embedded_database_url(folder), embedded_redis_url(folder)

    assert (embedded_database_url(folder), embedded_redis_url(folder)) == first
    assert EmbeddedPostgres(folder).url == first[0]
    assert sorted(path.name for path in folder.iterdir()) == ["postgres.json", "redis.json"]


def test_what_is_kept_is_closed_to_others(tmp_path):
    embedded_database_url(tmp_path)
    make_secret_key(tmp_path)

    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_the_secret_key_is_made_once(tmp_path):
    assert kept_secret_key(tmp_path) is None

    key = make_secret_key(tmp_path)

    assert len(key) == 64
    assert (make_secret_key(tmp_path), kept_secret_key(tmp_path)) == (key, key)


def test_an_unreadable_address_is_one_clear_sentence(tmp_path):
    (tmp_path / "redis.json").write_text("{")

    with pytest.raises(ConfigError, match=r"redis\.json cannot be read as the kept port"):
        embedded_redis_url(tmp_path)


def test_postgres_starts_attaches_stops_and_keeps_its_data(server):
    assert server.start() is True
    _run(server.url, "CREATE TABLE kept (x int)")
    other = EmbeddedPostgres(server.data_dir)
    assert (other.start(), other.pid) == (False, server.pid)

    other.stop()

    assert (server.is_running(), server.pid) == (False, None)
    assert server.start() is True
    assert _run(server.url, "SELECT count(*) FROM kept") == [(0,)]


def test_postgres_is_durable_and_speaks_unicode(server):
    server.start()

    assert _run(server.url, "SELECT current_setting('fsync'), current_setting('server_encoding')") == [("on", "UTF8")]
    assert _run(server.url, "SELECT lower('NGUYỄN THỊ ÁNH'), current_user") == [("nguyễn thị ánh", "spa")]


def test_postgres_takes_the_password_only(server):
    server.start()

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.url.replace(server.url.split(":")[2].split("@")[0], "guess"))


def test_what_was_committed_survives_kill_9_of_postgres(server):
    server.start()
    _run(server.url, "CREATE TABLE kept AS SELECT generate_series(1, 100) AS x")

    os.kill(server.pid, signal.SIGKILL)

    assert server.start() is True
    assert _run(server.url, "SELECT count(*) FROM kept") == [(100,)]


def test_of_two_starts_at_once_one_starts(server):
    servers = [server, EmbeddedPostgres(server.data_dir, shared_buffers="16MB")]
    with ThreadPoolExecutor(2) as pool:
        started = list(pool.map(EmbeddedPostgres.start, servers))

    assert sorted(started) == [False, True]
    servers[started.index(True)].stop()


@pytest.mark.parametrize("kind", [EmbeddedPostgres, EmbeddedRedis])
def test_a_taken_port_is_given_up_for_another(open_folder, kind):
    server = kind(open_folder())
    before = server.url
    with socket.create_server(("127.0.0.1", int(before.rpartition(":")[2].partition("/")[0]))):
        server.start()
        assert server.is_running()
    assert server.url != before
    server.stop()


def test_a_lost_password_is_one_clear_sentence(server):
    server.start()
    server.stop()
    (server.data_dir / "postgres.json").unlink()

    with pytest.raises(ConfigError, match=r"does not hold the password of the cluster"):
        server.start()


def test_a_cluster_that_cannot_start_is_one_clear_sentence(server):
    server.start()
    server.stop()
    (server.cluster / "PG_VERSION").write_text("9.6\n")

    with pytest.raises(ConfigError, match=r"cannot start \(database files are incompatible"):
        server.start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_servers_die_with_the_one_that_started_them(open_folder):
    folder = open_folder()
    code = f"""
        import os, pathlib, signal
        from spa_app.embedded import EmbeddedPostgres, EmbeddedRedis
        servers = [kind(pathlib.Path({str(folder)!r})) for kind in (EmbeddedPostgres, EmbeddedRedis)]
        print(*[server.start() and server.pid for server in servers], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=PROJECT_DIR, capture_output=True, text=True, check=False
    )

    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    assert wait_until(lambda: not any(is_alive(pid) for pid in pids), 20)


def test_redis_keeps_what_it_acknowledged_over_kill_9(redis_server):
    assert redis_server.start() is True
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("job", "1")
    assert EmbeddedRedis(redis_server.data_dir).start() is False

    os.kill(redis_server.pid, signal.SIGKILL)

    assert redis_server.start() is True
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.get("job") == b"1"
    redis_server.stop()
    assert not redis_server.is_running()


def test_redis_takes_the_password_only(redis_server):
    redis_server.start()
    port = redis_server.url.rpartition(":")[2]

    with redis.Redis.from_url(f"redis://127.0.0.1:{port}") as client, pytest.raises(redis.AuthenticationError):
        client.ping()

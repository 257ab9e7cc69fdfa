"""The commands as processes: what they say when they cannot start, and `up` from start to stop."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from spa_app.config import PROJECT_DIR
from spa_app.embedded import EmbeddedPostgres, EmbeddedRedis
from spa_app.embedded.kept import free_port, port_is_free
from spa_app.embedded.process import wait_until

COMMAND = [sys.executable, "-m", "flask", "--app", "wsgi"]


def _env(folder, **changes):
    ours = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "LOG_FORMAT", "WEB_WORKERS")
    kept = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("SPA_")}
    return kept | {"SPA_DATA_DIR": str(folder), "PORT": str(free_port()), "WEB_WORKERS": "1"} | changes


def _run(arguments, env):
    return subprocess.run(
        [*COMMAND, *arguments], cwd=PROJECT_DIR, env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "changes", "sentence"),
    [
        (["serve"], {"PORT": "eighty"}, "Error: PORT=eighty must be a whole number from 1 to 65535."),
        (["serve"], {}, "Error: SECRET_KEY is not set: sessions cannot be signed without one."),
        (
            ["worker"],
            {"DATABASE_URL": "postgresql://spa:secret@127.0.0.1:9/spa"},
            "Error: The database at 127.0.0.1:9/spa cannot be reached: ",
        ),
        (
            ["db", "upgrade"],
            {"DATABASE_URL": "postgresql://spa:secret@127.0.0.1:9/spa"},
            "Error: The database at 127.0.0.1:9/spa cannot be reached: ",
        ),
        (
            ["reconcile"],
            {"DATABASE_URL": "postgresql://spa:secret@127.0.0.1:port/spa"},
            "Error: DATABASE_URL must look like postgresql://user@host:port/name.",
        ),
        (
            ["worker"],
            {"REDIS_URL": "redis://127.0.0.1:port/0"},
            "Error: REDIS_URL must look like redis://host:port/0 or unix:///path/to/socket.",
        ),
        (
            ["worker"],
            {"SMTP_URL": "smtp://desk:secret@127.0.0.1:port"},
            "Error: SMTP_URL must look like smtp://user:password@host:587?from=desk@spa.example.",
        ),
        (["up"], {"SPA_DATA_DIR": "/dev/null/data"}, "Error: The data folder /dev/null/data cannot be made: "),
    ],
)
def test_a_start_that_cannot_work_is_one_sentence(tmp_path, arguments, changes, sentence):
    done = _run(arguments, _env(tmp_path, **changes))

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
    assert "secret@" not in done.stderr


@pytest.mark.parametrize("command", ["up", "serve"])
def test_a_taken_port_is_one_sentence_and_leaves_nothing_running(open_folder, command):
    folder = open_folder()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _run([command], _env(folder, PORT=str(port), SECRET_KEY="x"))

    assert done.returncode == 1
    assert done.stderr == f"Error: Port {port} of 127.0.0.1 is taken by another program; set PORT to a free one.\n"
    assert not EmbeddedRedis(folder).is_running()
    assert EmbeddedPostgres(folder).pid is None


def test_a_command_stops_the_server_that_it_started(open_folder):
    folder = open_folder()

    done = _run(["db", "upgrade"], _env(folder))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert EmbeddedPostgres(folder).pid is None


class Up:
    """`up` as a process."""

    def __init__(self, folder):
        self.folder = folder
        self.env = _env(folder)
        self.port = int(self.env["PORT"])
        self.process = None

    def start(self, command=(*COMMAND, "up")):
        self.process = subprocess.Popen(
            command, cwd=PROJECT_DIR, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert wait_until(lambda: self.status("/readyz") == 200, 60), self.process.poll()

    def status(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
                return response.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return None

    def end(self, number):
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=40)
        return self.process.returncode, output.splitlines()

    def children(self):
        listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        pairs = [line.split() for line in listing.splitlines()]
        return [int(pid) for pid, parent in pairs if int(parent) == self.process.pid]

    def nothing_is_left(self):
        return (
            port_is_free(self.port)
            and EmbeddedPostgres(self.folder).pid is None
            and not EmbeddedRedis(self.folder).is_running()
        )


@pytest.fixture
def running(open_folder):
    up = Up(open_folder())
    up.start()
    yield up
    if up.process.poll() is None:
        up.end(signal.SIGTERM)


def test_up_serves_alone_replaces_what_dies_and_ctrl_c_stops_all_of_it(running):
    assert running.status("/healthz") == 200
    assert f"spa_app is ready on http://127.0.0.1:{running.port}" in running.process.stdout.readline()

    second = _run(["up"], running.env)
    assert second.returncode == 1
    assert second.stderr == f"Error: spa_app runs already on the data folder {running.folder}.\n"

    killed = running.children()
    assert len(killed) == 5
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: len(set(running.children()) - set(killed)) == 5, 30)
    assert wait_until(lambda: running.status("/readyz") == 200, 30)

    assert running.end(signal.SIGINT) == (0, [])
    assert running.nothing_is_left()


def test_up_starts_again_after_kill_9_of_everything(running):
    everything = [running.process.pid, *running.children()]
    for pid in everything:
        os.kill(pid, signal.SIGKILL)
    running.process.communicate()

    # As `make run` starts it: kill -9 of the parent stops it too.
    running.start(["sh", "-c", f"{shlex.join(COMMAND)} up --stop-with-parent; true"])

    assert running.status("/readyz") == 200
    assert running.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert wait_until(running.nothing_is_left, 30)

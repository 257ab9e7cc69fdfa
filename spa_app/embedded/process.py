"""Processes: start one that dies with its parent, tell whether one lives, end one, lock a folder."""

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spa_app.errors import ConfigError

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(number: signal.Signals) -> None:
    """Ask the kernel to send this process ``number`` when the one that started it ends (Linux only)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def spawn(
    command: Sequence[str | Path],
    *,
    parent_died: signal.Signals,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: Path | None = None,
    owner: tuple[int, int] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start ``command`` in a session of its own, so that Ctrl-C in the terminal reaches its parent only.

    ``parent_died`` is the signal that it gets when its parent ends, however that ends; ``output`` takes what it prints;
    ``owner`` (user, group) is whom root runs it as.
    """
    parent = os.getpid()

    def in_child() -> None:
        # After setuid, which clears the setting.
        die_with_parent(parent_died)
        if os.getppid() != parent:
            os._exit(1)

    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(output.open("ab")) if output else None
        if output:
            output.chmod(0o600)
        # Python ≥ 3.12 warns of a fork among threads; the child makes two system calls and then becomes `command`.
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.Popen(  # noqa: S603
            [str(part) for part in command],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT if sink else None,
            start_new_session=True,
            preexec_fn=in_child,
            **as_owner(owner),
        )


def as_owner(owner: tuple[int, int] | None) -> dict[str, Any]:
    """The arguments with which ``subprocess`` runs a command as ``owner``."""
    return {} if owner is None else {"user": owner[0], "group": owner[1], "extra_groups": []}


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits for its parent to notice does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return sys.platform != "linux"


def program_of(pid: int) -> str | None:
    """The file name of the program that ``pid`` runs, where the system tells it."""
    try:
        return Path(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")).name
    except OSError:
        return None


def end(pid: int, number: signal.Signals, *, seconds: float, child: "subprocess.Popen[bytes] | None" = None) -> None:
    """Send ``number`` and wait; kill what has not ended after ``seconds``."""

    def ended() -> bool:
        return child.poll() is not None if child else not is_alive(pid)

    for attempt in (number, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, attempt)
        if wait_until(ended, seconds):
            return


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask for ``condition`` until it holds; False if it does not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``; the kernel frees it if the holder dies."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{path} cannot be opened: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

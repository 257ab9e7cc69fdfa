"""Clients of the web server: plain HTTP/1.1 on connections that stay open, each logged in, as browsers do it."""

import http.client
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlencode

Work = TypeVar("Work")
HEADERS = {"Accept-Encoding": "gzip, deflate, br, zstd", "Accept": "text/html"}


class Client:
    """One browser. Not to be shared between threads."""

    def __init__(self, port: int, *, username: str | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._cookies: dict[str, str] = {}
        self._token = ""
        self._used_at = 0.0
        if username:
            self._log_in(username)

    def get(self, path: str, *, expect: int = 200, plain: bool = False) -> tuple[float, bytes]:
        """Seconds until the whole answer was there, and its body; ``plain`` asks for it uncompressed."""
        return self._send("GET", path, None, expect, {"Accept-Encoding": "identity"} if plain else {})

    def post(self, path: str, fields: Mapping[str, object], *, expect: int = 303) -> float:
        """Seconds for a form, sent with the session's CSRF token and an idempotency key of its own."""
        body = urlencode({**fields, "csrf_token": self._token, "idempotency_key": uuid.uuid4()})
        return self._send("POST", path, body, expect, {"Content-Type": "application/x-www-form-urlencoded"})[0]

    def close(self) -> None:
        """Hang up; the next request calls again."""
        self._connection.close()

    def _log_in(self, username: str) -> None:
        self._read_token("/login")
        self.post("/login", {"username": username, "password": f"{username}-demo"})
        self._read_token("/calendar")
        self.close()

    def _read_token(self, path: str) -> None:
        page = self.get(path, plain=True)[1].decode()
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        assert found, f"{path} has no CSRF token"
        self._token = found[1]

    def _send(
        self, method: str, path: str, body: str | None, expect: int, more: Mapping[str, str]
    ) -> tuple[float, bytes]:
        if time.perf_counter() - self._used_at > 1:
            self.close()  # the server hangs up on who says nothing for two seconds
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        began = time.perf_counter()
        self._connection.request(method, path, body, {**HEADERS, "Cookie": cookies, **more})
        answer = self._connection.getresponse()
        content = answer.read()
        self._used_at = time.perf_counter()
        seconds = self._used_at - began
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        if answer.status != expect:
            raise RuntimeError(f"{method} {path} answered {answer.status}, not {expect}: {content[:2000]!r}")
        return seconds, content


def together(workers: Sequence[Work], work: Callable[[Work, int], float], count: int) -> tuple[float, list[float]]:
    """Have the workers do numbers 0 to ``count - 1`` between them, each taking the next one when it is through.

    Returns the seconds that it all took, and the seconds that ``work`` returned for each number.
    """
    numbers = iter(range(count))
    taking = threading.Lock()
    seconds: list[float] = []
    failures: list[BaseException] = []
    gate = threading.Barrier(len(workers) + 1)

    def run(worker: Work) -> None:
        gate.wait()
        try:
            while not failures:
                with taking:
                    number = next(numbers, None)
                if number is None:
                    return
                seconds.append(work(worker, number))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    gate.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    whole = time.perf_counter() - began
    if failures:
        raise failures[0]
    return whole, seconds


def in_turn(work: Callable[[int], float], count: int) -> list[float]:
    """The seconds that ``work`` returned for the numbers 0 to ``count - 1``, one after the other."""
    return [work(number) for number in range(count)]

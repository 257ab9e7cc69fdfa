"""A mail server of a few lines on 127.0.0.1, which keeps what it takes in and refuses what it is told to."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage


class Server(socketserver.ThreadingTCPServer):
    """``refusals``: command → the answer that it gets instead, for as many times as there are answers."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.refusals: dict[str, list[str]] = {}

    @property
    def url(self) -> str:
        """What SMTP_URL would be."""
        return f"smtp://127.0.0.1:{self.server_address[1]}?from=desk@spa.example"


class _Session(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        recipients: list[str] = []
        self._say("220 test")
        while line := self.rfile.readline():
            command = line.split(b":")[0].strip().upper().decode(errors="replace")
            verb = command.split()[0] if command else ""
            refusals = self.server.refusals.get(verb)
            if refusals:
                self._say(refusals.pop(0))
            elif verb == "RCPT":
                recipients.append(line.decode().partition(":")[2].strip())
                self._say("250 ok")
            elif verb == "DATA":
                self._say("354 go on")
                self._take_in(recipients)
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _take_in(self, recipients: list[str]) -> None:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line[1:] if line.startswith(b".") else line)
        refusals = self.server.refusals.get("END")
        if refusals:
            self._say(refusals.pop(0))
            return
        mail = message_from_bytes(b"".join(lines), policy=policy.default)
        self.server.mails.append((recipients, mail))
        self._say("250 taken in")

    def _say(self, answer: str) -> None:
        self.wfile.write(answer.encode() + b"\r\n")


@contextmanager
def smtp_server() -> Iterator[Server]:
    """The server, while the block runs."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

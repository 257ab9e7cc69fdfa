"""Just enough of PDF to read what our own files say: text through the fonts' ToUnicode maps, page by page."""

import re
import zlib
from dataclasses import dataclass

_OBJECT = re.compile(rb"(\d+) 0 obj\n(.*?)\nendobj", re.S)
_STREAM = re.compile(rb"stream\n(.*)\nendstream", re.S)
_MAPPING = re.compile(rb"<([0-9A-Fa-f]{4})> <([0-9A-Fa-f]+)>")
_TOKEN = re.compile(rb"/(F\d+) [\d.]+ Tf|\(((?:[^\\()]|\\.)*)\) Tj", re.S)
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


@dataclass(frozen=True)
class Page:
    """A page: each run of text as it was written, and the size in points."""

    runs: tuple[str, ...]
    width: float
    height: float

    @property
    def text(self) -> str:
        """All of it, with single spaces, also between the runs."""
        return " ".join(" ".join(self.runs).split())


def read_pages(pdf: bytes) -> list[Page]:
    """The pages of a PDF of ours."""
    assert pdf.startswith(b"%PDF-1.")
    objects = {int(number): body for number, body in _OBJECT.findall(pdf)}
    size = next(body for body in objects.values() if b"/Type /Pages" in body)
    width, height = map(float, re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", size).groups())
    pages = [body for body in objects.values() if re.search(rb"/Type /Page\b", body)]
    return [Page(_runs(objects, page), width, height) for page in pages]


def _runs(objects: dict[int, bytes], page: bytes) -> tuple[str, ...]:
    resources = objects[_reference(page, b"Resources")]
    fonts = {name: _map(objects, int(number)) for name, number in re.findall(rb"/(F\d+) (\d+) 0 R", resources)}
    font: dict[int, str] = {}
    runs = []
    for name, text in _TOKEN.findall(_stream(objects[_reference(page, b"Contents")])):
        if name:
            font = fonts[name]
        else:
            raw = re.sub(rb"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text, flags=re.S)
            runs.append("".join(font[int.from_bytes(raw[at : at + 2], "big")] for at in range(0, len(raw), 2)))
    return tuple(runs)


def _map(objects: dict[int, bytes], font: int) -> dict[int, str]:
    mappings = _MAPPING.findall(_stream(objects[_reference(objects[font], b"ToUnicode")]))
    return {int(code, 16): bytes.fromhex(text.decode()).decode("utf-16-be") for code, text in mappings}


def _reference(body: bytes, name: bytes) -> int:
    return int(re.search(rb"/" + name + rb" (\d+) 0 R", body)[1])


def _stream(body: bytes) -> bytes:
    content = _STREAM.search(body)[1]
    return zlib.decompress(content) if b"/FlateDecode" in body.split(b"stream")[0] else content

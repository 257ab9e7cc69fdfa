"""Photos without what the camera wrote into them: where it was, whose it is, a small copy of the picture.

Nothing is encoded anew, so no picture gets worse: only parts of the file that no picture is made of are left out. Of
what stood there the way to turn it is kept, since it is part of how it looks.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO

from PIL import Image

from spa_app.errors import N_, InvalidError

# A decoder takes up to four bytes a pixel, but a JPEG is looked at in an eighth of its size.
MOST_PIXELS = {"image/jpeg": 64_000_000, "image/png": 24_000_000, "image/webp": 24_000_000}
_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
_ORIENTATION = 0x0112
_UPRIGHT = 1
# What a reader raises where the bytes are not what they should be, or (strictly) warns of.
_BROKEN = (UserWarning, OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, zlib.error)

_SOI, _EOI, _SOS, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1
_ALONE = {0x01, _SOI, *range(0xD0, 0xD8)}  # markers without a length
_JPEG_KEPT = {*range(0xC0, 0xD0), *_ALONE, _EOI, _SOS, 0xDB, 0xDC, 0xDD}  # frames, tables, scans
# Colours, transparency, size on paper, moving pictures; not times, texts or EXIF.
_PNG_KEPT = (
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND"),
    *(b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT", b"bKGD", b"hIST", b"tRNS", b"pHYs"),
    *(b"acTL", b"fcTL", b"fdAT"),
)
_WEBP_KEPT = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP")
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04  # flags of VP8X


def strip_picture(content: bytes, media_type: str) -> bytes:
    """The same picture without EXIF, XMP, comments and thumbnails; colour profile and the way to turn it stay.

    Raises :class:`InvalidError` at ``file`` for a picture that cannot be read, or of more than :data:`MOST_PIXELS`.
    """
    turned = _orientation(content, media_type)
    exif = b""
    if turned != _UPRIGHT:
        kept = Image.Exif()
        kept[_ORIENTATION] = turned
        exif = kept.tobytes()
    strip: dict[str, Callable[[bytes, bytes], bytes]] = {
        "image/jpeg": _strip_jpeg,
        "image/png": _strip_png,
        "image/webp": _strip_webp,
    }
    try:
        stripped = strip[media_type](content, exif)
    except _BROKEN as error:
        raise _broken() from error
    _orientation(stripped, media_type)  # whatever was left out, it is still a picture
    return stripped


def _orientation(content: bytes, media_type: str) -> int:
    """How the picture is to be turned, as EXIF counts it; decodes all of it, and refuses what cannot be."""
    try:
        with Image.open(BytesIO(content), formats=(_FORMATS[media_type],)) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS[media_type]:
                raise _too_large(media_type)
            picture.draft("RGB", (width // 8, height // 8))
            picture.load()
            turned = _turned(picture)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(media_type) from error
    except _BROKEN as error:
        raise _broken() from error
    return turned


def _turned(picture: Image.Image) -> int:
    try:
        turned = picture.getexif().get(_ORIENTATION, _UPRIGHT)
    except _BROKEN:
        return _UPRIGHT  # the dots are whole, only the words beside them are not
    return turned if turned in range(1, 9) else _UPRIGHT


def _strip_jpeg(content: bytes, exif: bytes) -> bytes:
    """The segments that make the picture, up to its end; what a telephone hangs on behind it goes as well."""
    kept = bytearray(content[:2])
    if exif:
        kept += _segment(_APP1, b"Exif\x00\x00" + exif.removeprefix(b"Exif\x00\x00"))
    for marker, whole, body in _jpeg_segments(content):
        profile = marker == 0xE2 and body.startswith(b"ICC_PROFILE\x00")
        colours = marker == 0xEE and body.startswith(b"Adobe")
        plain = marker == 0xE0 and body.startswith(b"JFIF\x00")
        if marker in _JPEG_KEPT or profile or colours or plain:
            kept += whole
    return bytes(kept)


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Marker, all bytes and body of each segment; a scan is one with the data that follows it."""
    at = 2
    while True:
        start = at
        while content[at] == 0xFF and content[at + 1] == 0xFF:
            at += 1  # fill bytes
        if content[at] != 0xFF:
            raise ValueError("no marker where one must be")
        marker = content[at + 1]
        at += 2
        body = b""
        if marker not in (*_ALONE, _EOI):
            (length,) = struct.unpack_from(">H", content, at)
            body = content[at + 2 : at + length]
            at += length
        if marker == _SOS:
            while content[at] != 0xFF or content[at + 1] == 0x00 or content[at + 1] in _ALONE:
                at += 1
        yield marker, content[start:at], body
        if marker == _EOI:
            return


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _strip_png(content: bytes, exif: bytes) -> bytes:
    kept = bytearray(content[:8])
    at = 8
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        whole = content[at : at + 12 + length]
        at += 12 + length
        if kind in _PNG_KEPT:
            kept += whole
        if kind == b"IHDR" and exif:
            body = exif.removeprefix(b"Exif\x00\x00")
            kept += struct.pack(">I4s", len(body), b"eXIf") + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
        if kind == b"IEND":
            break
    return bytes(kept)


def _strip_webp(content: bytes, exif: bytes) -> bytes:
    (size,) = struct.unpack_from("<I", content, 4)
    end, at, kept = min(8 + size, len(content)), 12, bytearray()
    extended = False
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", content, at)
        whole = bytearray(content[at : at + 8 + length + length % 2])
        at += len(whole)
        if kind == b"VP8X":
            extended = True
            whole[8] = whole[8] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if exif else 0)
        if kind in _WEBP_KEPT:
            kept += whole
    if exif and extended:
        body = exif.removeprefix(b"Exif\x00\x00")
        kept += struct.pack("<4sI", b"EXIF", len(body)) + body + bytes(len(body) % 2)
    return struct.pack("<4sI4s", b"RIFF", len(kept) + 4, b"WEBP") + bytes(kept)


def _broken() -> InvalidError:
    return InvalidError(
        "picture_broken", N_("This picture cannot be read. Take it anew, or send it again."), field="file"
    )


def _too_large(media_type: str) -> InvalidError:
    return InvalidError(
        "picture_too_large",
        N_("This picture has too many pixels: at most %(limit)d million are possible."),
        field="file",
        limit=MOST_PIXELS[media_type] // 1_000_000,
    )

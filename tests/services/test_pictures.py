"""Of a photo the picture is kept, dot for dot, and nothing of what the camera wrote; what is none is refused."""

import random
import struct
import zlib
from contextlib import suppress
from io import BytesIO

import pytest
from PIL import Image, ImageOps

from spa_app.errors import InvalidError
from spa_app.services.pictures import MOST_PIXELS, strip_picture
from tests.pictures import PROFILE, XMP, photo, picture

KINDS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
kinds = pytest.mark.parametrize("kind", KINDS)


def shown(content):
    """The dots as a browser draws them."""
    with Image.open(BytesIO(content)) as image:
        return ImageOps.exif_transpose(image).convert("RGB").tobytes()


def metadata(content):
    with Image.open(BytesIO(content)) as image:
        image.load()
        exif = image.getexif()
        return dict(exif), dict(exif.get_ifd(0x8825)), image.info.get("icc_profile")


@kinds
@pytest.mark.parametrize("turned", [1, 3, 6])
def test_the_place_goes_and_the_picture_stays_as_it_looked(kind, turned):
    before = photo(kind, turned=turned)
    assert metadata(before)[1], "the test's photo says where it was taken"

    after = strip_picture(before, KINDS[kind])

    exif, place, profile = metadata(after)
    assert exif == ({0x0112: turned} if turned != 1 else {})
    assert place == {}
    assert profile == PROFILE
    for secret in (b"telephone", b"GPS", XMP[:20], b"106", b"xmp"):
        assert secret not in after
    assert shown(after) == shown(before)
    assert strip_picture(after, KINDS[kind]) == after, "nothing is left to take"


@kinds
def test_a_plain_picture_is_kept_byte_for_byte(kind):
    plain = picture(kind)
    assert strip_picture(plain, KINDS[kind]) == plain


def test_what_hangs_behind_a_jpeg_goes_too():
    hidden = photo("JPEG")
    after = strip_picture(picture("JPEG", progressive=True) + hidden, "image/jpeg")
    assert after == picture("JPEG", progressive=True)


def _bomb(width, height):
    """A PNG of a few bytes that claims to be of that size."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    dots = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", dots) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(5_000, 5_000), (10_000, 10_000), (60_000, 60_000)])
def test_more_dots_than_a_camera_has_are_refused_before_they_are_drawn(size):
    assert size[0] * size[1] > MOST_PIXELS["image/png"]
    with pytest.raises(InvalidError) as caught:
        strip_picture(_bomb(*size), "image/png")
    assert (caught.value.code, caught.value.field) == ("picture_too_large", "file")


@kinds
def test_a_broken_picture_is_refused_and_nothing_worse_happens(kind):
    whole = photo(kind)
    chance = random.Random(4)
    for _ in range(150):
        cut = whole[: chance.randrange(12, len(whole) - 12)]
        flipped = bytearray(whole)
        for _ in range(5):
            flipped[chance.randrange(12, len(whole))] = chance.randrange(256)
        for content in (cut, bytes(flipped)):
            with suppress(InvalidError):
                assert b"telephone" not in strip_picture(content, KINDS[kind])
    with pytest.raises(InvalidError) as caught:
        strip_picture(whole[: len(whole) // 2], KINDS[kind])
    assert (caught.value.code, caught.value.field) == ("picture_broken", "file")

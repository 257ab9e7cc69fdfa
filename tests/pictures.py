"""Small real pictures, with or without what a camera writes into them."""

from io import BytesIO
from typing import Any

from PIL import Image, ImageCms, PngImagePlugin

PLACE = "10°46'N 106°42'E"
XMP = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf exif:GPSLatitude="{PLACE}"/></x:xmpmeta>'.encode()
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def picture(kind: str, size: tuple[int, int] = (32, 20), **saved: Any) -> bytes:
    """A picture of two colours, left and right, as ``JPEG``, ``PNG`` or ``WEBP``."""
    image = Image.new("RGB", size, "white")
    image.paste("teal", (0, 0, size[0] // 2, size[1]))
    file = BytesIO()
    image.save(file, kind, **saved)
    return file.getvalue()


def photo(kind: str, *, turned: int = 6) -> bytes:
    """The same as a telephone leaves it: turned, with the place, a text and a colour profile."""
    exif = Image.Exif()
    exif[0x0112] = turned
    exif[0x010F] = "A telephone"
    exif.get_ifd(0x8825).update({1: "N", 2: (10.0, 46.0, 0.0), 3: "E", 4: (106.0, 42.0, 0.0)})
    more: dict[str, Any] = {"exif": exif, "icc_profile": PROFILE}
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        text.add_text("Comment", PLACE.encode("ascii", "replace").decode())
        more["pnginfo"] = text
    else:
        more["xmp"] = XMP
    if kind == "JPEG":
        more["comment"] = PLACE.encode()
    return picture(kind, **more)

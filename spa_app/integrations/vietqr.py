"""The text of a VietQR code, which a banking app reads as a transfer to an account, with its amount and purpose.

After EMVCo's *QR Code Specification for Payment Systems, Merchant-Presented Mode*: every object is its two-digit id,
the two-digit length of its value, and the value; the last one is a checksum over all before it. The account stands in
object 38 as NAPAS laid it down (*QR Switching*, part IV, version 1.5.2).
"""

import re
import unicodedata
from binascii import crc_hqx

# The bank's number (BIN) with the State Bank, by which transfers are routed, and what people call the bank.
BANKS = {
    "970405": "Agribank",
    "970416": "ACB",
    "970418": "BIDV",
    "970431": "Eximbank",
    "970437": "HDBank",
    "970449": "LPBank",
    "970422": "MB Bank",
    "970426": "MSB",
    "970448": "OCB",
    "970403": "Sacombank",
    "970440": "SeABank",
    "970443": "SHB",
    "970407": "Techcombank",
    "970423": "TPBank",
    "970441": "VIB",
    "970436": "Vietcombank",
    "970415": "VietinBank",
    "970432": "VPBank",
}
PURPOSE_LENGTH = 25
ACCOUNT = re.compile(r"[0-9A-Z]{4,19}")
_GUID = "A000000727"  # NAPAS
_TO_ACCOUNT = "QRIBFTTA"  # inter-bank fund transfer to an account (…TTC would be to a card)
_DONG, _VIETNAM = "704", "VN"


def transfer_code(*, bank_bin: str, account: str, amount: int, purpose: str) -> str:
    """The text of a code that asks for a transfer of ``amount`` đồng.

    ``purpose`` is cut to 25 characters and loses its accents, as the standard wants it.
    """
    account_info = _object("00", _GUID) + _object("01", _object("00", bank_bin) + _object("01", account))
    body = (
        _object("00", "01")
        + _object("01", "12")  # for one transfer only
        + _object("38", account_info + _object("02", _TO_ACCOUNT))
        + _object("53", _DONG)
        + _object("54", str(amount))
        + _object("58", _VIETNAM)
        + _object("62", _object("08", plain(purpose)[:PURPOSE_LENGTH]))
        + "6304"
    )
    return body + checksum(body)


def checksum(text: str) -> str:
    """CRC-16 with the polynomial 0x1021, begun with 0xFFFF (ISO/IEC 13239), in four hexadecimal digits."""
    return f"{crc_hqx(text.encode('ascii'), 0xFFFF):04X}"


def plain(text: str) -> str:
    """``text`` with letters without accents, digits, spaces and hyphens only."""
    folded = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return re.sub(r"[^0-9A-Za-z -]", "", folded).strip()


def _object(tag: str, value: str) -> str:
    return f"{tag}{len(value):02d}{value}"

"""The text of VietQR codes, against codes that others have published."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spa_app.integrations.vietqr import PURPOSE_LENGTH, checksum, plain, transfer_code

# NAPAS, QR Switching 1.5.2, part IV, 6.1: a transfer of 180,000 to an account, with a reference that we do not send.
NAPAS = (
    "00020101021238570010A00000072701270006970403011300110123456780208QRIBFTTA530370454061800005802VN"
    "62340107NPS68690819thanh toan don hang63042E2E"
)
# The example in the manual of subiz/vietqr: 120,000 to VietinBank.
SUBIZ = (
    "00020101021238570010A00000072701270006970415011300110019324180208QRIBFTTA530370454061200005802VN"
    "62170813ung ho lu lut6304C15C"
)


def objects(text):
    """The objects of a code, by their tags."""
    found = {}
    while text:
        length = int(text[2:4])
        found[text[:2]] = text[4 : 4 + length]
        text = text[4 + length :]
    return found


def test_the_published_check_value_of_the_checksum():
    assert checksum("123456789") == "29B1"


@pytest.mark.parametrize("code", [NAPAS, SUBIZ])
def test_the_checksums_of_published_codes(code):
    assert checksum(code[:-4]) == code[-4:]


def test_a_published_code_to_the_letter():
    made = transfer_code(bank_bin="970415", account="0011001932418", amount=120_000, purpose="ủng hộ lũ lụt")
    assert made == SUBIZ


def test_the_account_and_the_amount_of_the_standards_own_example():
    made = objects(transfer_code(bank_bin="970403", account="0011012345678", amount=180_000, purpose="x"))
    published = objects(NAPAS)
    assert {tag: made[tag] for tag in ("00", "01", "38", "53", "54", "58")} == {
        tag: published[tag] for tag in ("00", "01", "38", "53", "54", "58")
    }


@given(st.text(max_size=60), st.integers(1, 10**12))
def test_any_purpose_gives_a_code_that_can_be_read(purpose, amount):
    code = transfer_code(bank_bin="970436", account="0881000458086", amount=amount, purpose=purpose)
    read = objects(code)
    assert list(read) == ["00", "01", "38", "53", "54", "58", "62", "63"]
    assert read["54"] == str(amount)
    assert objects(read["62"])["08"] == plain(purpose)[:PURPOSE_LENGTH]
    assert read["63"] == checksum(code[:-4])


def test_vietnamese_letters_lose_their_accents():
    assert plain("Đặt cọc: Nguyễn Thị Hường – 60’") == "Dat coc Nguyen Thi Huong  60"

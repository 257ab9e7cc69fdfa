"""A PDF in the application's own type, with the few things that papers are made of."""

import datetime as dt
import unicodedata
from pathlib import Path
from typing import Literal, Self

from fpdf import FPDF

FONTS = Path(__file__).parent / "fonts"
FAMILY = "Be Vietnam Pro"
GREY = 96
Align = Literal["L", "C", "R"]


class Sheet(FPDF):
    """Millimetres; ``created_at`` is the creation date of the file, into which nothing else of this moment goes.

    A context manager: at its end the files of the fonts are closed, from which the library reads until the last.
    """

    def __init__(
        self, *, size: tuple[float, float], margin: float, title: str, locale: str, created_at: dt.datetime
    ) -> None:
        super().__init__(unit="mm", format=size)
        self.set_margins(margin, margin, margin)
        self.set_title(title)
        self.set_lang(locale)
        self.set_creation_date(created_at)
        self.add_font(FAMILY, "", FONTS / "be-vietnam-pro-400.ttf")
        self.add_font(FAMILY, "B", FONTS / "be-vietnam-pro-600.ttf")
        self.c_margin = 0
        self.type(9)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for font in self.fonts.values():
            font.close()  # type: ignore[union-attr]

    def type(self, size: float, *, bold: bool = False, grey: bool = False) -> None:
        """Set what follows in this size (points)."""
        self.set_font(FAMILY, "B" if bold else "", size)
        self.set_text_color(GREY if grey else 0)

    @property
    def line_height(self) -> float:
        """The height of a line in the type that is set: accents above and below capitals need a third more."""
        return self.font_size * 1.4

    def text_at(self, x: float, width: float, text: str, align: Align = "L") -> float:
        """Write ``text`` from the present height down, wrapped into ``width``, and return where it ends.

        Neither the height nor the page changes: who calls has made sure that it fits.
        """
        top = self.y
        self.set_x(x)
        self.multi_cell(width, self.line_height, printable(text), align=align, new_x="LMARGIN", new_y="NEXT")
        bottom, self.y = self.y, top
        return bottom

    def height_of(self, width: float, text: str) -> float:
        """How high ``text`` stands once it is wrapped into ``width``."""
        lines = self.multi_cell(width, self.line_height, printable(text), align="L", dry_run=True, output="LINES")
        return max(1, len(lines)) * self.line_height  # type: ignore[arg-type]

    def centred(self, text: str) -> None:
        """A paragraph in the middle of the page."""
        self.y = self.text_at(self.l_margin, self.epw, text, "C")

    def pair(self, name: str, value: str) -> None:
        """A name at the left and its value at the right. Where they do not fit into a line both wrap, half and half."""
        value, name = printable(value), printable(name)
        wanted, free = self.get_string_width(value) + 0.5, self.epw - self.get_string_width(name) - 2.5
        room = min(wanted, max(free, self.epw / 2))
        if self.will_page_break(max(self.height_of(self.epw - room - 2, name), self.height_of(room, value))):
            self.add_page()
        bottom = self.text_at(self.l_margin, self.epw - room - 2, name)
        self.y = max(bottom, self.text_at(self.w - self.r_margin - room, room, value, "R"))

    def rule(self, *, dashed: bool = False, gap: float = 1.5) -> None:
        """A line across, with a gap above and below."""
        self.y += gap
        self.set_line_width(0.2)
        self.set_dash_pattern(*((1, 1) if dashed else (0, 0)))
        self.line(self.l_margin, self.y, self.w - self.r_margin, self.y)
        self.set_dash_pattern()
        self.y += gap

    def stamp(self, text: str, x: float, width: float) -> None:
        """A word in a box: a void paper, a copy."""
        self.set_line_width(0.4)
        top = self.y
        self.y += 0.8
        bottom = self.text_at(x + 1, width - 2, text, "C") + 0.8
        self.rect(x, top, width, bottom - top)
        self.y = bottom + 1.5


def printable(text: str) -> str:
    """``text`` composed, so that each letter with its accents is one of the font's, and without control characters."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(char for char in composed if char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Cs"))

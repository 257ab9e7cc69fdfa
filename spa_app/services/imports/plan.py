"""What would become of each row: the decisions of an import, without storing anything."""

import datetime as dt
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import select

from spa_app.errors import N_, InvalidError
from spa_app.extensions import db
from spa_app.models import Branch, Customer, CustomerTreatment, Service
from spa_app.services import phones
from spa_app.services.customers import clean_details
from spa_app.services.imports.cards import CardReader, ImportedCard
from spa_app.services.imports.table import Row, Table
from spa_app.services.imports.values import fold, is_same_person, parse_date, parse_yes

TOTAL_LINES = {"tong", "tong cong", "cong", "total", "grand total", "sum"}
FILLED_IN = ("email", "birth_date", "allergies", "note")
Value = TypeVar("Value")


@dataclass
class Person:
    """A customer that a row means: one that there is (``id``), or one to be. ``row`` is the first that names them."""

    full_name: str
    phone: str | None
    values: dict[str, Any]
    id: int | None = None
    row: int | None = None
    import_ref: str | None = None
    shares_phone_with: "Person | None" = None
    fills: dict[str, Any] = field(default_factory=dict)  # what was empty so far


@dataclass(frozen=True)
class PlannedCard:
    """A card to be opened."""

    row: int
    person: Person
    card: ImportedCard
    import_ref: str


@dataclass(frozen=True)
class RowReport:
    """What is wrong with a row, or with its card; each reason names its column in ``field``."""

    number: int
    reasons: tuple[InvalidError, ...]


@dataclass
class ImportPlan:
    """What an import does. ``bad`` rows store nothing at all; of ``left_out`` rows only the customer is stored."""

    rows: int = 0
    new_people: list[Person] = field(default_factory=list)
    known_people: list[Person] = field(default_factory=list)
    cards: list[PlannedCard] = field(default_factory=list)
    cards_known: int = 0
    bad: list[RowReport] = field(default_factory=list)
    left_out: list[RowReport] = field(default_factory=list)

    @property
    def cards_without_value(self) -> int:
        """Cards whose price the file does not tell: their sessions count, but nothing is owed for them in money."""
        return sum(1 for planned in self.cards if not planned.card.has_value)

    @property
    def owed_amount(self) -> int:
        """What the spa will owe for these cards, without VAT, in minor units."""
        return sum(planned.card.owed_amount for planned in self.cards)


@dataclass(frozen=True)
class _Parsed:
    row: Row
    values: dict[str, Any]
    phone: str | None
    shares_phone: bool
    card: ImportedCard | None
    errors: list[InvalidError]

    @property
    def who(self) -> tuple[str, str]:
        """Who is meant. Without a phone the customer's number in the file decides, and without that the date of birth:

        who agree in it and in the name are taken for one.
        """
        code = self.row.cells.get("customer_code", "").casefold()
        return fold(self.values["full_name"]), self.phone or (f"#{code}" if code else str(self.values["birth_date"]))

    @property
    def person_ref(self) -> str:
        return _digest("customer", *self.who)

    @property
    def card_identity(self) -> tuple[str, ...]:
        """Which card is meant: by its number if it has one, else by whose it is and how it was sold."""
        assert self.card is not None
        return self.card.identity if self.card.has_code else (*self.who, *self.card.identity)


def plan_import(table: Table, *, today: dt.date, currency: str, locale: str) -> ImportPlan:
    """Decide about every row. Reads what is there in five statements, whatever the number of rows; stores nothing."""
    services = list(db.session.scalars(select(Service).order_by(Service.id)))
    branches = {branch.code: branch.id for branch in db.session.scalars(select(Branch))}
    reader = CardReader(services, branches, today=today, currency=currency, locale=locale)
    return _Planner([_parse(row, reader) for row in table.rows], reader).plan


class _Planner:
    def __init__(self, parsed: list[_Parsed], reader: CardReader) -> None:
        self.plan = ImportPlan(rows=len(parsed))
        self._reader = reader
        self._first_rows: dict[tuple[Any, ...], int] = {}
        self._alike: Counter[tuple[str, ...]] = Counter()
        self._by_phone: dict[str, list[Person]] = defaultdict(list)
        self._by_ref: dict[str, Person] = {}
        self._by_id: dict[int, Person] = {}
        good = []
        for one in parsed:
            errors = one.errors or self._repeats(one)
            if errors:
                self.plan.bad.append(RowReport(one.row.number, tuple(errors)))
            else:
                good.append((one, self._card_ref(one)))
        self._load_people({one.phone for one, _ in good if one.phone}, {one.person_ref for one, _ in good})
        self._known_cards = _known_cards({ref for _, ref in good if ref})
        for one, card_ref in good:
            self._decide(one, card_ref)
        self.plan.bad.sort(key=lambda report: report.number)
        self.plan.known_people = [person for person in self._by_id.values() if person.row is not None]

    def _load_people(self, phone_numbers: set[str], refs: set[str]) -> None:
        """Everybody on these phones, and everybody imported before under these identities."""
        rows: dict[int, Customer] = {}
        for column, wanted in ((Customer.phone, phone_numbers), (Customer.import_ref, refs)):
            for some in _chunks(sorted(wanted)):
                rows.update(
                    (customer.id, customer) for customer in db.session.scalars(select(Customer).where(column.in_(some)))
                )
        # Who was merged since is whom they were merged into.
        merged = [customer for customer in rows.values() if customer.merged_into_id is not None]
        survivors = select(Customer).where(Customer.id.in_({customer.merged_into_id for customer in merged}))
        rows.update((customer.id, customer) for customer in db.session.scalars(survivors))
        live = [customer for customer in rows.values() if customer.merged_into_id is None]
        for customer in sorted(live, key=lambda c: (c.shares_phone_with_id is not None, c.id)):
            person = Person(
                full_name=customer.full_name,
                phone=customer.phone,
                values={name: getattr(customer, name) for name in FILLED_IN},
                id=customer.id,
                import_ref=customer.import_ref,
            )
            self._by_id[customer.id] = person
            self._remember(person)
        for customer in merged:
            if customer.import_ref and customer.merged_into_id:
                self._by_ref[customer.import_ref] = self._by_id[customer.merged_into_id]

    def _remember(self, person: Person) -> None:
        if person.phone:
            self._by_phone[person.phone].append(person)
        if person.import_ref:
            self._by_ref[person.import_ref] = person

    def _repeats(self, one: _Parsed) -> list[InvalidError]:
        """The refusal of a row that says what an earlier one said; the same card twice is one card."""
        if one.card is None:
            # Phones are compared as read, whatever their format.
            said = sorted((column, fold(text)) for column, text in one.row.cells.items() if column != "phone")
            key: tuple[Any, ...] = (one.phone, *said)
        else:
            key = one.card_identity if one.card.has_code else (*one.card_identity, one.card.sessions)
        first = self._first_rows.setdefault(key, one.row.number)
        return [] if first == one.row.number else [InvalidError("row_repeated", N_("Repeats row %(row)d."), row=first)]

    def _card_ref(self, one: _Parsed) -> str | None:
        """The card's identity. Of a customer's cards that are alike but for what is used, each has its own."""
        if one.card is None:
            return None
        self._alike[one.card_identity] += 1
        return _digest("card", *one.card_identity, str(self._alike[one.card_identity]))

    def _decide(self, one: _Parsed, card_ref: str | None) -> None:
        if card_ref in self._known_cards:
            self.plan.cards_known += 1
            if owner := self._by_id.get(self._known_cards[card_ref]):
                owner.row = owner.row or one.row.number
            return
        try:
            person = self._person(one)
        except InvalidError as error:
            self.plan.bad.append(RowReport(one.row.number, (error,)))
            return
        for name in FILLED_IN:
            if one.values[name] and not person.values[name]:
                person.values[name] = person.fills[name] = one.values[name]
        if one.card is None or card_ref is None:
            return
        if reason := self._reader.left_out(one.card):
            self.plan.left_out.append(RowReport(one.row.number, (reason,)))
        else:
            self.plan.cards.append(PlannedCard(one.row.number, person, one.card, card_ref))

    def _person(self, one: _Parsed) -> Person:
        ref, name = one.person_ref, one.values["full_name"]
        on_phone = self._by_phone[one.phone] if one.phone else []
        same = self._by_ref.get(ref) or next((p for p in on_phone if is_same_person(p.full_name, name)), None)
        if same is not None:
            same.row = same.row or one.row.number
            return same
        if on_phone and not one.shares_phone:
            raise _phone_of_other(on_phone[0], one.phone)
        person = Person(
            full_name=name,
            phone=one.phone,
            values=dict(one.values),
            row=one.row.number,
            import_ref=ref,
            shares_phone_with=on_phone[0] if on_phone else None,
        )
        self._remember(person)
        self.plan.new_people.append(person)
        return person


def _parse(row: Row, reader: CardReader) -> _Parsed:
    """All that the row says, and all that is wrong with it at once."""
    errors: list[InvalidError] = []
    cells = row.cells

    def read(parse: Callable[[], Value], instead: Value) -> Value:
        try:
            return parse()
        except InvalidError as error:
            errors.append(error)
            return instead

    name = " ".join(filter(None, (cells.get("family_name"), cells.get("full_name"))))
    if fold(name) in TOTAL_LINES:
        errors.append(InvalidError("total_line", N_("This is a line of totals, not a customer."), field="full_name"))
    if row.surplus:
        errors.append(
            InvalidError("row_too_long", N_("There are more cells than headings: is a text missing its quotes?"))
        )
    phone = read(lambda: phones.normalise(cells.get("phone")), None)
    shares = read(lambda: parse_yes(cells.get("shares_phone", ""), "shares_phone"), False)
    birth_date = read(lambda: parse_date(cells.get("birth_date", ""), "birth_date"), None)
    texts = {column: cells.get(column, "") for column in ("email", "allergies", "note")}
    nothing: dict[str, Any] = {}
    values = read(lambda: clean_details(full_name=name, birth_date=birth_date, **texts), nothing)
    card, card_errors = reader.read(row)
    return _Parsed(row, values, phone, shares, card, [*errors, *card_errors])


def _phone_of_other(holder: Person, phone: str | None) -> InvalidError:
    if holder.id is None:
        return InvalidError(
            "phone_of_row",
            N_(
                "%(phone)s is also the number of %(name)s in row %(row)d. If they share it, say so in the column"
                " “Dùng chung số”."
            ),
            field="phone",
            phone=phone,
            name=holder.full_name,
            row=holder.row,
        )
    return InvalidError(
        "phone_of_customer",
        N_(
            "%(phone)s is the number of %(name)s, who is a customer already. If they share it, say so in the column"
            " “Dùng chung số”."
        ),
        field="phone",
        phone=phone,
        name=holder.full_name,
    )


def _known_cards(refs: set[str]) -> dict[str | None, int]:
    """The customers of the cards that were imported before."""
    known: dict[str | None, int] = {}
    for some in _chunks(sorted(refs)):
        query = select(CustomerTreatment.import_ref, CustomerTreatment.customer_id)
        rows = db.session.execute(query.where(CustomerTreatment.import_ref.in_(some)))
        known.update((row.import_ref, row.customer_id) for row in rows)
    return known


def _chunks(values: list[str], size: int = 5000) -> list[list[str]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]

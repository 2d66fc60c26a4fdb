"""Hourly prices: a CSV file, read without guessing, or a seeded synthetic crash.

A file has a time column (``time_utc``, or ``time``, ``timestamp``, ``date``; UTC, written as a date
with or without a time, or as seconds or milliseconds since 1970) and one column
``<MARKET>_close`` for each market; other columns are left alone. What cannot be used is left out
and told by its line: a row whose time or width is wrong, a cell that is empty or not a positive
number, a time that two rows disagree about, a price that comes back from silence as another
thing's. What would need a guess about the whole is refused: no time column, no prices, rows out of
order.
"""

from __future__ import annotations

import csv
import math
import random
import re
from calendar import monthrange
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

from plimsoll.errors import PriceFileError
from plimsoll.units import DIGITS, plain

TIME_COLUMNS = ("time_utc", "time", "timestamp", "date")
TIMES = "2022-05-09 13:00, 2022-05-09T13:00:00Z or 1652101200"
SUFFIX = "_close"
HOUR = 3_600
JUMP = 10  # a price that comes back from silence this many times higher or lower is not the same


class Row(NamedTuple):
    """One moment's prices."""

    line: int  # of the file; 0 in a synthetic series
    at: int  # [unix s]
    prices: Mapping[str, Decimal]  # [quote/base] by market; what is missing is not in it


class Problem(NamedTuple):
    """Something in the file that was left out, or that ought to be known."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


@dataclass(frozen=True)
class Series:
    """Prices in order of time.

    Attributes:
        source: for people: the file's name, or what was made up.
        markets: in the file's order.
        rows: at least two, strictly rising in time.
        step: [s] the usual distance between two rows.
        problems: in the file's order.
    """

    source: str
    markets: tuple[str, ...]
    rows: tuple[Row, ...]
    step: int
    problems: tuple[Problem, ...] = field(default=())

    @property
    def start(self) -> int:
        """The first row's time [unix s]."""
        return self.rows[0].at

    @property
    def end(self) -> int:
        """The last row's time [unix s]."""
        return self.rows[-1].at

    @property
    def steps(self) -> int:
        """How many steps there are from the first row to the last, those without a row included."""
        return (self.end - self.start) // self.step

    def first_prices(self) -> dict[str, Decimal]:
        """The prices of the first row [quote/base]: what a venue can open with."""
        return dict(self.rows[0].prices)


# ------------------------------------------------------------------ a file


def read_prices(
    path: Path | str,
    start: str | None = None,
    end: str | None = None,
    markets: Iterable[str] | None = None,
) -> Series:
    """The prices of a CSV file between two dates.

    Args:
        path: of the file.
        start: ``2022-05``, ``2022-05-09`` or ``2022-05-09 13:00``, UTC; by default the file's
            first.
        end: the same; a month or a day counts to its last second. By default the file's last.
        markets: which columns to take; by default all that end in ``_close``.

    Raises:
        PriceFileError: if the file cannot be used; the text says why, and where.
    """
    file = Path(path)
    since = moment(start)[0] if start else None
    until = moment(end)[1] if end else None
    if since is not None and until is not None and since > until:
        raise PriceFileError(f"--from {start} is after --to {end}")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PriceFileError(f"{file}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise PriceFileError(f"{file}: not a text file ({error.reason})") from None
    return parse_prices(text.splitlines(), str(file), since, until, markets)


def parse_prices(
    lines: Sequence[str],
    source: str,
    since: int | None = None,
    until: int | None = None,
    markets: Iterable[str] | None = None,
) -> Series:
    """The same from lines of text.

    Args:
        lines: header first.
        source: a name for errors and for the series.
        since: [unix s] first moment to take.
        until: [unix s] last moment to take.
        markets: which columns to take.
    """
    reader = csv.reader(lines)
    try:
        return _parse(reader, source, since, until, markets)
    except csv.Error as error:
        raise PriceFileError(f"{source}: line {reader.line_num}: {error}") from None


def _parse(
    reader: Any, source: str, since: int | None, until: int | None, markets: Iterable[str] | None
) -> Series:
    header = [name.strip() for name in next(reader, [])]
    at, columns = _columns(header, source, markets)

    problems: list[Problem] = []
    found: list[Row] = []
    first: int | None = None
    last: int | None = None
    for cells in reader:
        line = reader.line_num
        if not cells or not "".join(cells).strip():
            continue
        if len(cells) != len(header):
            problems.append(Problem(line, f"{len(cells)} cells, not {len(header)}: row left out"))
            continue
        when = _time(cells[at])
        if when is None:
            why = f"{cells[at]!r} is no time, such as {TIMES}: row left out"
            problems.append(Problem(line, why))
            continue
        first = when if first is None else first
        if last is not None and when < last:
            raise PriceFileError(
                f"{source}: line {line}: {date(when)} comes after {date(last)}; sort the file"
            )
        last = when
        if (since is not None and when < since) or (until is not None and when > until):
            continue
        prices = {}
        for name, column in columns.items():
            price, why = _price(cells[column])
            if price is None:
                problems.append(Problem(line, f"{name}: {why}"))
            else:
                prices[name] = price
        found.append(Row(line, when, prices))

    rows = _unique(found, problems)
    if len(rows) < 2:
        if first is None or last is None:
            why = f"; {problems[0]}" if problems else ""
            raise PriceFileError(f"{source}: no row with a time{why}")
        raise PriceFileError(
            f"{source}: {len(rows) or 'no'} usable row{'' if len(rows) == 1 else 's'} between the "
            f"dates given, two are needed; the file runs from {date(first)} to {date(last)}"
        )
    step = _usual_step(rows)
    _tell_gaps(rows, step, problems)
    rows = _without_changelings(rows, problems)
    problems.sort(key=lambda problem: problem.line)
    return Series(source, tuple(columns), tuple(rows), step, tuple(_condensed(problems)))


def _columns(
    header: list[str], source: str, markets: Iterable[str] | None
) -> tuple[int, dict[str, int]]:
    """The time column and each market's."""
    at = next((header.index(name) for name in TIME_COLUMNS if name in header), None)
    if at is None and len(header) == 1 and ";" in header[0]:
        raise PriceFileError(f"{source}: line 1: separate the cells by commas, not by semicolons")
    if at is None:
        raise PriceFileError(
            f"{source}: line 1: no time column; one of {', '.join(TIME_COLUMNS)} is needed"
        )
    twice = [name for name, count in Counter(header).items() if count > 1 and name.endswith(SUFFIX)]
    if twice:
        raise PriceFileError(f"{source}: line 1: two columns {twice[0]}")
    closes = {
        name.removesuffix(SUFFIX): number
        for number, name in enumerate(header)
        if name.endswith(SUFFIX) and name != SUFFIX
    }
    if not closes:
        raise PriceFileError(f"{source}: line 1: no price column, such as BTC{SUFFIX}")
    if markets is None:
        return at, closes
    wanted = list(markets)
    missing = [name for name in wanted if name not in closes]
    if missing:
        raise PriceFileError(
            f"{source}: line 1: no column {missing[0]}{SUFFIX}; there are prices of "
            f"{', '.join(closes)}"
        )
    return at, {name: closes[name] for name in wanted}


def _time(cell: str) -> int | None:
    text = cell.strip().replace("T", " ").removesuffix("Z").removesuffix("+00:00").strip()
    if re.fullmatch(r"\d{9,10}(000)?", text):  # in milliseconds, too
        return int(text[:-3] if len(text) > 10 else text)
    text = re.sub(r"(:\d\d)\.0+$", r"\1", text)
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"):
        try:
            return _unix(datetime.strptime(text, form))
        except ValueError:
            continue
    return None


def _price(cell: str) -> tuple[Decimal | None, str]:
    text = cell.strip()
    if not text:
        return None, "no price"
    try:
        price = Decimal(text)
    except InvalidOperation:
        return None, f"{text!r} is not a number"
    if not price.is_finite():
        return None, f"{text} is not a number"
    if price <= 0:
        return None, f"{text} is not above zero"
    if abs(price.adjusted()) > DIGITS:
        return None, f"{text[:12]} is beyond any price"
    return price, ""


def _unique(found: list[Row], problems: list[Problem]) -> list[Row]:
    """One row a moment. Equal twins are one; of twins that differ neither can be believed."""
    rows: list[Row] = []
    spoiled: int | None = None
    for row in found:
        if row.at == spoiled:
            problems.append(Problem(row.line, f"{date(row.at)} again: row left out"))
        elif rows and rows[-1].at == row.at:
            if rows[-1].prices == row.prices:
                problems.append(Problem(row.line, f"{date(row.at)} again, the same: row left out"))
                continue
            other = rows.pop().line
            spoiled = row.at
            problems.append(
                Problem(row.line, f"{date(row.at)} again, not as in line {other}: both left out")
            )
        else:
            rows.append(row)
    return rows


def _usual_step(rows: Sequence[Row]) -> int:
    gaps = Counter(later.at - row.at for row, later in zip(rows, rows[1:], strict=False))
    most = max(gaps.values())
    return min(gap for gap, count in gaps.items() if count == most)


def _tell_gaps(rows: Sequence[Row], step: int, problems: list[Problem]) -> None:
    for row, later in zip(rows, rows[1:], strict=False):
        gap = later.at - row.at
        if gap != step:
            missing = gap // step - 1
            what = (
                f"{missing} row{'s' if missing > 1 else ''} missing" if missing > 0 else "odd step"
            )
            problems.append(
                Problem(later.line, f"{what} between {date(row.at)} and {date(later.at)}")
            )


def _without_changelings(rows: Sequence[Row], problems: list[Problem]) -> list[Row]:
    """Leave out prices that come back from silence far from where they were.

    A coin that dies and another that takes its name look like this.
    """
    seen: dict[str, tuple[int, Decimal]] = {}
    gone: set[str] = set()
    kept = []
    for number, row in enumerate(rows):
        for name, price in row.prices.items():
            if name in gone:
                continue
            place, last = seen.get(name, (number, price))
            if place < number - 1 and max(price, last) / min(price, last) > JUMP:
                gone.add(name)
                text = (
                    f"{name}: {plain(price):f} after {number - 1 - place} rows without a price, "
                    f"{plain(last):f} before: taken for another thing and left out from here on"
                )
                problems.append(Problem(row.line, text))
            seen[name] = (number, price)
        prices = {name: p for name, p in row.prices.items() if name not in gone}
        kept.append(row._replace(prices=prices) if gone else row)
    return kept


def _condensed(problems: Sequence[Problem]) -> list[Problem]:
    """Runs of the same empty column in one line."""
    short: list[Problem] = []
    open_runs: dict[str, tuple[int, int, int]] = {}  # text: place in `short`, last line, count
    for problem in problems:
        if not problem.text.endswith(": no price"):
            short.append(problem)
            continue
        place, last, count = open_runs.get(problem.text, (-1, -2, 0))
        if place >= 0 and problem.line == last + 1:
            count += 1
            text = f"{problem.text}, nor in the {count - 1} lines that follow"
            short[place] = Problem(short[place].line, text)
        else:
            place, count = len(short), 1
            short.append(problem)
        open_runs[problem.text] = (place, problem.line, count)
    return short


# ------------------------------------------------------------------ dates


def moment(text: str) -> tuple[int, int]:
    """The first and last second of a date: a month, a day, or a moment [unix s].

    Raises:
        PriceFileError: if it is none of these.
    """
    clean = text.strip().replace("T", " ").removesuffix("Z")
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"):
        try:
            exact = _unix(datetime.strptime(clean, form))
            return exact, exact
        except ValueError:
            continue
    try:
        day = datetime.strptime(clean, "%Y-%m-%d")
        return _unix(day), _unix(day) + 86_399
    except ValueError:
        pass
    try:
        month = datetime.strptime(clean, "%Y-%m")
        last = month.replace(day=monthrange(month.year, month.month)[1])
        return _unix(month), _unix(last) + 86_399
    except ValueError:
        raise PriceFileError(
            f"{text!r} is no date: 2022-05, 2022-05-09 or '2022-05-09 13:00', in UTC"
        ) from None


def date(at: int) -> str:
    """A moment for people, UTC."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M")


def _unix(when: datetime) -> int:
    return int(when.replace(tzinfo=timezone.utc).timestamp())


# ------------------------------------------------------------------ made up

CRASH_START = 1_767_225_600  # 2026-01-01 00:00 UTC
SYNTHETIC = {"BTC": "60000", "ETH": "3000", "SOL": "150", "LINK": "15"}


def synthetic_crash(
    seed: int = 1,
    hours: int = 72,
    prices: Mapping[str, Decimal | str] | None = None,
    fall: float = 0.35,
) -> Series:
    """A made-up crash: a calm third, a fall, a ragged recovery. The same seed, the same prices.

    Args:
        seed: of the random numbers.
        hours: how many steps; at least 3.
        prices: [quote/base] at the start, by market.
        fall: of the first market, as a fraction; the others fall up to half as much again.

    Raises:
        PriceFileError: if there are too few hours, or the fall is not between 0 and 0.6.
    """
    if hours < 3:
        raise PriceFileError(f"{hours} hours are too short for a crash; 3 at least")
    if not 0 < fall <= 0.6:
        raise PriceFileError(f"a fall of {fall} is not between 0 and 0.6")
    rng = random.Random(seed)
    current = {name: float(Decimal(p)) for name, p in (prices or SYNTHETIC).items()}
    beta = {
        name: 1 + 0.5 * number / max(len(current) - 1, 1) for number, name in enumerate(current)
    }
    begin, finish = hours // 3, max(hours // 3 + 1, hours // 2)
    rows = []
    for hour in range(hours + 1):
        if hour:
            drift = 0.0
            if begin < hour <= finish:
                drift = math.log(1 - fall) / (finish - begin)
            elif hour > finish:
                drift = -0.3 * math.log(1 - fall) / max(hours - finish, 1)
            common = rng.gauss(0, 0.006)
            for name in current:
                own = rng.gauss(0, 0.004)
                current[name] *= math.exp(beta[name] * (drift + common) + own)
        shown = {name: plain(Decimal(f"{price:.6g}")) for name, price in current.items()}
        rows.append(Row(0, CRASH_START + hour * HOUR, shown))
    return Series(f"synthetic crash, seed {seed}", tuple(current), tuple(rows), HOUR)

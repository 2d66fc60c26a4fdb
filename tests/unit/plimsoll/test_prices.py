"""The price file's parser: the bad is told by its line and left out, the doubtful is refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from plimsoll.errors import PriceFileError
from plimsoll.prices import HOUR, date, moment, parse_prices, read_prices, synthetic_crash

HEADER = "time_utc,BTC_open,BTC_close,ETH_close"


def rows(*lines: str) -> list[str]:
    return [HEADER, *lines]


def hour(number: int, btc: str = "100", eth: str = "10") -> str:
    return f"2022-05-01 {number:02d}:00:00,1,{btc},{eth}"


def test_parse_prices__good_file__every_price_exact_and_no_problem() -> None:
    series = parse_prices(rows(hour(0, "100.10"), hour(1, "99", "10.000001"), hour(2)), "file")
    assert series.markets == ("BTC", "ETH")
    assert series.problems == ()
    assert series.step == HOUR and series.steps == 2
    assert [row.line for row in series.rows] == [2, 3, 4]
    assert series.rows[1].prices == {"BTC": Decimal("99"), "ETH": Decimal("10.000001")}
    assert date(series.start) == "2022-05-01 00:00"


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("", "no price"),
        ("  ", "no price"),
        ("-5", "-5 is not above zero"),
        ("0", "0 is not above zero"),
        ("NaN", "NaN is not a number"),
        ("inf", "inf is not a number"),
        ("12,3", None),  # a cell too many
        ("1.2.3", "'1.2.3' is not a number"),
        ("n/a", "'n/a' is not a number"),
        ("1e400", "1e400 is beyond any price"),
        ("1e-999999", "1e-999999 is beyond any price"),
        ('"1,000"', "'1,000' is not a number"),
    ],
)
def test_parse_prices__bad_cell__left_out_and_told_by_line(cell: str, why: str | None) -> None:
    series = parse_prices(rows(hour(0), hour(1, cell), hour(2), hour(3)), "file")
    if why is None:
        assert [str(p) for p in series.problems] == [
            "line 3: 5 cells, not 4: row left out",
            "line 4: 1 row missing between 2022-05-01 00:00 and 2022-05-01 02:00",
        ]
    else:
        assert [str(p) for p in series.problems] == [f"line 3: BTC: {why}"]
        assert series.rows[1].prices == {"ETH": Decimal(10)}


def test_parse_prices__column_runs_empty__told_once() -> None:
    series = parse_prices(rows(hour(0), *(hour(n, eth="") for n in range(1, 9)), hour(9)), "file")
    assert [str(p) for p in series.problems] == [
        "line 3: ETH: no price, nor in the 7 lines that follow"
    ]
    assert len(series.rows) == 10


def test_parse_prices__hole__told_with_both_ends() -> None:
    series = parse_prices(rows(hour(0), hour(1), hour(5), hour(6)), "file")
    assert [str(p) for p in series.problems] == [
        "line 4: 3 rows missing between 2022-05-01 01:00 and 2022-05-01 05:00"
    ]
    assert series.steps == 6


def test_parse_prices__odd_step__told() -> None:
    lines = rows(hour(0), hour(1), "2022-05-01 01:20:00,1,2,3", hour(2), hour(3), hour(4))
    problems = [str(p) for p in parse_prices(lines, "file").problems]
    assert problems == [
        "line 4: odd step between 2022-05-01 01:00 and 2022-05-01 01:20",
        "line 5: odd step between 2022-05-01 01:20 and 2022-05-01 02:00",
    ]


def test_parse_prices__equal_twins__one_is_left_out() -> None:
    series = parse_prices(rows(hour(0), hour(1), hour(1), hour(2)), "file")
    assert [str(p) for p in series.problems] == [
        "line 4: 2022-05-01 01:00 again, the same: row left out"
    ]
    assert [row.line for row in series.rows] == [2, 3, 5]


def test_parse_prices__twins_that_differ__both_are_left_out() -> None:
    lines = rows(hour(0), hour(1), hour(1, "101"), hour(1), hour(2), hour(3), hour(4))
    series = parse_prices(lines, "file")
    assert [str(p) for p in series.problems] == [
        "line 4: 2022-05-01 01:00 again, not as in line 3: both left out",
        "line 5: 2022-05-01 01:00 again: row left out",
        "line 6: 1 row missing between 2022-05-01 00:00 and 2022-05-01 02:00",
    ]
    assert [row.line for row in series.rows] == [2, 6, 7, 8]


def test_parse_prices__unsorted__refused_with_line() -> None:
    with pytest.raises(PriceFileError, match=r"file: line 4: 2022-05-01 01:00 comes after"):
        parse_prices(rows(hour(0), hour(2), hour(1)), "file")


@pytest.mark.parametrize(
    "time",
    [
        "2022-05-01",
        "2022-05-01 00:00",
        "2022-05-01T00:00:00Z",
        "2022-05-01T00:00:00.000Z",
        "2022-05-01 00:00:00+00:00",
        "1651363200",
        "1651363200000",
    ],
)
def test_parse_prices__time_in_any_of_its_forms__is_that_time(time: str) -> None:
    series = parse_prices(rows(f"{time},1,2,3", hour(1), hour(2)), "file")
    assert not series.problems and series.rows[0].at == 1_651_363_200


def test_parse_prices__cells_between_semicolons__says_so() -> None:
    with pytest.raises(PriceFileError, match="by commas, not by semicolons"):
        parse_prices(["time_utc;BTC_close", "2022-05-01;1"], "file")


@pytest.mark.parametrize("time", ["yesterday", "2022-13-01 00:00:00", "", "01/05/2022"])
def test_parse_prices__bad_time__row_left_out(time: str) -> None:
    series = parse_prices(rows(hour(0), f"{time},1,2,3", hour(1)), "file")
    told = str(series.problems[0])
    assert told.startswith(f"line 3: {time!r} is no time, such as 2022-05-09 13:00")
    assert told.endswith("row left out")
    assert len(series.rows) == 2


@pytest.mark.parametrize(
    ("time", "at"),
    [
        ("2022-05-01T02:00:00Z", 1_651_370_400),
        ("2022-05-01 02:00", 1_651_370_400),
        ("1651370400", 1_651_370_400),
        ("2022-05-01 02:00:00+00:00", 1_651_370_400),
    ],
)
def test_parse_prices__other_ways_to_write_a_time__understood(time: str, at: int) -> None:
    series = parse_prices(rows(hour(0), hour(1), f"{time},1,2,3"), "file")
    assert series.end == at and series.problems == ()


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("when,BTC_close", "line 1: no time column"),
        ("time_utc,BTC_open", "line 1: no price column, such as BTC_close"),
        ("time_utc,BTC_close,BTC_close", "line 1: two columns BTC_close"),
        ("", "line 1: no time column"),
    ],
)
def test_parse_prices__useless_header__refused(header: str, why: str) -> None:
    with pytest.raises(PriceFileError, match=why):
        parse_prices([header, "2022-05-01,1,2"], "file")


def test_parse_prices__missing_market__refused_naming_what_there_is() -> None:
    with pytest.raises(PriceFileError, match="no column SOL_close; there are prices of BTC, ETH"):
        parse_prices(rows(hour(0), hour(1)), "file", markets=["BTC", "SOL"])


def test_parse_prices__no_row_with_a_time__says_what_the_first_has_instead() -> None:
    lines = rows("2022-05-01T00:00:00+02:00,1,2,3", "2022-05-01T01:00:00+02:00,1,2,3")
    why = r"no row with a time; line 2: '2022-05-01T00:00:00\+02:00' is no time"
    with pytest.raises(PriceFileError, match=why):
        parse_prices(lines, "file")


def test_parse_prices__cell_without_end__refused_with_line() -> None:
    with pytest.raises(PriceFileError, match="file: line 3: field larger than field limit"):
        parse_prices(rows(hour(0), hour(1, "1" * 140_000)), "file")


@pytest.mark.parametrize("lines", [rows(), rows(hour(0)), []])
def test_parse_prices__fewer_than_two_rows__refused(lines: list[str]) -> None:
    with pytest.raises(PriceFileError):
        parse_prices(lines, "file")


def test_parse_prices__another_thing_under_an_old_name__left_out_from_there_on() -> None:
    quiet = [hour(n, eth="") for n in range(2, 5)]
    lines = rows(hour(0), hour(1, eth="0.5"), *quiet, hour(5, eth="8"), hour(6, eth="0.4"))
    series = parse_prices(lines, "file")
    assert [str(p) for p in series.problems] == [
        "line 4: ETH: no price, nor in the 2 lines that follow",
        "line 7: ETH: 8 after 3 rows without a price, 0.5 before: taken for another thing and left "
        "out from here on",
    ]
    assert ["ETH" in row.prices for row in series.rows] == [True, True, *[False] * 5]


def test_parse_prices__back_from_silence_at_a_like_price__kept() -> None:
    lines = rows(hour(0), hour(1, eth=""), hour(2, eth=""), hour(3, eth="4"))
    assert parse_prices(lines, "file").rows[3].prices["ETH"] == 4


def test_read_prices__dates__take_whole_days(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    days = [f"2022-05-{day:02d} {h:02d}:00:00,1,{day},1" for day in (1, 2, 3) for h in (0, 12, 23)]
    file.write_text("\n".join(rows(*days)))
    series = read_prices(file, "2022-05-02", "2022-05-03")
    assert date(series.start) == "2022-05-02 00:00" and date(series.end) == "2022-05-03 23:00"
    assert len(read_prices(file, "2022-05", "2022-05-02 12:00", ["BTC"]).rows) == 5
    with pytest.raises(PriceFileError, match="the file runs from 2022-05-01 00:00 to"):
        read_prices(file, "2023-01")
    with pytest.raises(PriceFileError, match="--from 2022-06 is after --to 2022-05"):
        read_prices(file, "2022-06", "2022-05")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("time_utc,BTC_close,ETH_close\r\n2022-05-01,5,6\r\n2022-05-02,7,8\r\n", "utf-8"),
        ("time_utc,BTC_close,ETH_close\n2022-05-01,5,6\n\n2022-05-02,7,8\n", "utf-8-sig"),
        ("ETH_close, BTC_close, date\n6,5,2022-05-01\n8,7,2022-05-02", "utf-8"),
        ('"time_utc","BTC_close","ETH_close"\n"2022-05-01","5","6"\n2022-05-02,7,8', "utf-8"),
    ],
)
def test_read_prices__other_ends_marks_orders_and_quotes__the_same(
    tmp_path: Path, text: str, encoding: str
) -> None:
    file = tmp_path / "prices.csv"
    file.write_bytes(text.encode(encoding))
    series = read_prices(file)
    assert series.problems == () and sorted(series.markets) == ["BTC", "ETH"]
    assert [dict(row.prices) for row in series.rows] == [{"BTC": 5, "ETH": 6}, {"BTC": 7, "ETH": 8}]


def test_read_prices__no_text__refused(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_bytes("time_utc,BTC_close\n".encode("utf-16"))
    with pytest.raises(PriceFileError, match=r"prices\.csv: not a text file"):
        read_prices(file)


def test_read_prices__no_file__one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(PriceFileError, match="No such file"):
        read_prices(tmp_path / "none.csv")


@pytest.mark.parametrize("text", ["May", "2022", "2022-5-32", "2022-02-30", ""])
def test_moment__no_date__refused(text: str) -> None:
    with pytest.raises(PriceFileError, match="is no date"):
        moment(text)


def test_moment__month__to_its_last_second() -> None:
    assert moment("2022-12") == (1_669_852_800, 1_672_531_199)
    assert moment("2024-02")[1] - moment("2024-02-29")[0] == 86_399


def test_moment__the_last_there_is__is_one() -> None:
    assert moment("9999-12")[1] == moment("9999-12-31")[1] == 253_402_300_799


def test_synthetic_crash__seeds__same_seed_same_prices_else_not() -> None:
    first, again, other = synthetic_crash(7), synthetic_crash(7), synthetic_crash(8)
    assert first.rows == again.rows
    assert first.rows != other.rows
    lowest = min(row.prices["BTC"] for row in first.rows)
    assert lowest < Decimal("0.75") * first.rows[0].prices["BTC"]


@pytest.mark.parametrize("wrong", [{"hours": 2}, {"fall": 0.0}, {"fall": 0.9}])
def test_synthetic_crash__impossible__refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(PriceFileError):
        synthetic_crash(**wrong)

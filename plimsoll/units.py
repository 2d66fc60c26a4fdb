"""Decimals for people, integers for contracts, and nothing lost between them."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, InvalidOperation

WAD = 10**18
PPM = 10**6
MAX_UINT = 2**256 - 1
MAX_INT = 2**255 - 1
DIGITS = 77  # before the point of any 256-bit number; as many behind it are let be written

# Wide enough for any 256-bit number with 18 decimals; the default of 28 digits is not.
WIDE = Context(prec=100)

Number = Decimal | int | str


def decimal(value: Number, what: str = "the amount") -> Decimal:
    """`value` as an exact, finite decimal.

    Args:
        value: a decimal, a whole number, or a text such as ``"0.25"`` or ``"1_000"``.
        what: a name for the error.

    Raises:
        ValueError: if it is not a finite number, is of no size that a chain knows, or is a float
            (whose digits are not what was typed).
    """
    if isinstance(value, float | bool):
        raise ValueError(f'{what}: {value} is no exact number; write it in quotes: "{value}"')
    try:
        number = Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        raise ValueError(f"{what}: {value!r} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{what}: {value} is not a finite number")
    if number and abs(number.adjusted()) > DIGITS:
        raise ValueError(f"{what}: {value} is too {'large' if number.adjusted() > 0 else 'small'}")
    return number


def scaled(value: Number, decimals: int, what: str = "the amount") -> int:
    """`value` in units of ``10**-decimals``, exactly.

    Raises:
        ValueError: if there are more decimals than that.
    """
    number = decimal(value, what)
    whole = int(number.scaleb(decimals, WIDE))
    # Back again, as digits beyond the context's would be lost on the way there.
    if unscaled(whole, decimals) != number:
        raise ValueError(f"{what}: {number} has more than {decimals} decimals")
    return whole


def unscaled(value: int, decimals: int) -> Decimal:
    """The inverse of `scaled`."""
    return Decimal(value).scaleb(-decimals, WIDE)


def to_wad(value: Number, what: str = "the amount") -> int:
    """`value` in WAD (1e18), exactly."""
    return scaled(value, 18, what)


def from_wad(value: int) -> Decimal:
    """A WAD (1e18) as a decimal, exactly."""
    return unscaled(value, 18)


def to_ppm(value: Number, what: str = "the ratio") -> int:
    """A fraction in parts per million, exactly: ``0.05`` is 50,000."""
    return scaled(value, 6, what)


def from_ppm(value: int) -> Decimal:
    """Parts per million as a fraction."""
    return unscaled(value, 6)


def significant(value: Decimal, digits: int, up: bool = True) -> Decimal:
    """`value` rounded to so many significant digits, up or down.

    Args:
        value: not negative.
        digits: at least 1.
        up: toward plus infinity; else toward minus infinity.
    """
    rounding = ROUND_CEILING if up else ROUND_FLOOR
    return plain(Context(prec=digits, rounding=rounding).plus(value))


def plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent above zero."""
    short = value.normalize(WIDE)
    exponent = short.as_tuple().exponent
    return short.quantize(Decimal(1), context=WIDE) if int(exponent) > 0 else short

"""Amounts of money: in a currency's minor unit where they are counted, in its unit where people read them."""

from decimal import Decimal
from functools import lru_cache


@lru_cache(1024)
def digits_of(currency: str) -> int:
    """How many digits of the minor unit a currency has: 2 of EUR, 0 of JPY; 2 of one that is unknown."""
    # Babel takes its time, and few processes ever show an amount.
    from babel.numbers import get_currency_precision  # noqa: PLC0415 -- see above

    return get_currency_precision(currency)


def in_units(currency: str, minor: int) -> Decimal:
    """An amount of `minor` units in the unit of the currency: 1250 of EUR is 12.50."""
    return Decimal(minor).scaleb(-digits_of(currency))

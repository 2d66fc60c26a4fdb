"""What the tests of other people's feeds ask a venue on Ape's chain."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ape
from ape.api import AccountAPI

from plimsoll.deployment import Deployment
from plimsoll.slots import unpack_header, unpack_state_a
from plimsoll.units import MAX_UINT, WAD

LIVE = 0
NOBODY = "0x" + "00" * 20


def scaled(price: Decimal, decimals: int) -> int:
    """A price [quote/base] as a feed of so many decimals says it."""
    answer = price.scaleb(decimals)
    assert answer == int(answer)
    return int(answer)


def cash(venue: Deployment, account: Any) -> int:
    """[WAD quote]"""
    return unpack_header(venue.clearinghouse.header(account)).cash


def kept_price(venue: Deployment, market_id: int) -> int:
    """[WAD quote/base] a market's last good price, as stored"""
    return unpack_state_a(venue.clearinghouse.market_words(market_id).a).last_price


def assert_refused(
    venue: Deployment,
    market_id: int,
    reason: str,
    price: Decimal,
    trader: AccountAPI,
    keeper: AccountAPI,
) -> None:
    """Neither a poke nor a trade goes through, both say why, and the market keeps what it had."""
    with ape.reverts(reason):
        venue.clearinghouse.poke(market_id, sender=keeper)
    with ape.reverts(reason):
        venue.clearinghouse.trade(trader, market_id, WAD, MAX_UINT, sender=trader)
    leg = venue.clearinghouse.leg(NOBODY, market_id)
    assert leg.price == kept_price(venue, market_id) == scaled(price, 18)
    assert venue.lens.price_status_text(leg.status) == reason

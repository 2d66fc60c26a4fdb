"""How much collateral a book needs in one cross-margined account, and how much leg by leg.

Both ways open under the same initial margin and must stay at health 1.0 or above all along a path
of prices. In one account gains pay for losses at once; under isolated margin each position has to
bring its own collateral, and the gain of one is of no use to another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from plimsoll import formulas, slots
from plimsoll.chain import address_of
from plimsoll.client import Client, bits
from plimsoll.deployment import Deployment
from plimsoll.units import from_wad, to_wad

Prices = Mapping[str, Decimal]


class Leg(NamedTuple):
    """A position as it was opened; integers in the contract's units."""

    market: str
    size: int
    basis: int
    funding: int  # index at the time
    skew: int
    terms: slots.Unpacked

    def at(self, price: Decimal, opening: bool = False) -> formulas.Value:
        """Its worth and what it asks for at a price [quote/base]; funding since is left out.

        Args:
            price: the oracle's.
            opening: whether it is just being opened; the stable price is the oracle's then, as it
                is where prices were still before.
        """
        here, (mm, im) = to_wad(price), (self.terms.mm_ppm, self.terms.im_ppm)
        scale, reward = self.terms.skew_scale, self.terms.reward
        if opening:
            pnl = formulas.value(self.size, self.basis, here, self.funding, mm, scale, reward).pnl
            return formulas.opening_value(self.size, pnl, here, here, self.skew, im, scale, reward)
        return formulas.value(self.size, self.basis, here, self.funding, mm, scale, reward)


class Need(NamedTuple):
    """What a book asks for [quote]."""

    cross: Decimal
    isolated: Decimal

    @property
    def more(self) -> Decimal:
        """How much more isolated margin takes, as a fraction of cross; 0 for an empty book."""
        return self.isolated / self.cross - 1 if self.cross else Decimal(0)

    def __add__(self, other: object) -> Need:
        if not isinstance(other, Need):
            return NotImplemented
        return Need(self.cross + other.cross, self.isolated + other.isolated)


def legs_of(deployment: Deployment, account: Any) -> list[Leg]:
    """The positions of an account as they are now."""
    address = address_of(account)
    found = []
    for number in bits(Client(deployment).header(address).bitmap):
        leg = deployment.chain.view(deployment.clearinghouse, "leg", address, number)
        terms = slots.unpack_terms(int(leg.t0), int(leg.t1), 0)
        sizes = (int(leg.size), int(leg.basis), int(leg.index), int(leg.skew))
        found.append(Leg(deployment.names[number], *sizes, terms))
    return found


def need(legs: Sequence[Leg], path: Iterable[Prices]) -> Need:
    """The least collateral that opens these legs and stands all along the path.

    Args:
        legs: of one account.
        path: prices [quote/base] by market, moment by moment, the first one that of opening.

    Returns:
        As one account, and as one account for each leg.
    """
    together = 0
    alone = [0] * len(legs)
    for moment, prices in enumerate(path):
        values = [leg.at(prices[leg.market], opening=moment == 0) for leg in legs]
        asks = [v.required - v.pnl for v in values]
        together = max(together, sum(asks))
        alone = [max(so_far, ask) for so_far, ask in zip(alone, asks, strict=True)]
    return Need(from_wad(together), from_wad(sum(alone)))

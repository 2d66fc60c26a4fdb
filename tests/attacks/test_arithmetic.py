"""J. Arithmetic and Vyper (119 to 125).

The packing round trip over whole ranges and each formula against exact integers are in
tests/differential/test_pure.py; each rule of the lint against a source that breaks it is in
tests/unit/tooling/test_lint_vyper.py.
"""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from plimsoll import formulas, slots
from plimsoll.chain import address_of
from plimsoll.fuzz.artifacts import CONTRACTS
from plimsoll.table import Table, default_table, market
from plimsoll.units import PPM, WAD, from_wad, to_wad
from scripts.lint_vyper import lint_file, vyper_files
from tests.attacks.hostile import CONTRACTS as DEPLOYED
from tests.attacks.hostile import SOURCE as HOSTILE
from tests.attacks.hostile import Hostile, a_few_markets
from tests.attacks.venue import DAY, MAX_UINT, tried

D = Decimal
MILLION = 10**6
WEI = D(1).scaleb(-18)


# ------------------------------------------------------------------ packed words (119)


@pytest.mark.defence(
    "modules/slots.vy",
    "(convert(convert(low, bytes32), uint256) & MASK_128)",
    "convert(convert(low, bytes32), uint256)",
)
@pytest.mark.defence(
    "modules/slots.vy",
    "(convert(convert(skew, bytes32), uint256) & MASK_96)",
    "convert(convert(skew, bytes32), uint256)",
)
@pytest.mark.defence(
    "modules/slots.vy",
    "((convert(convert(rate, bytes32), uint256) & MASK_60) << RATE)",
    "(convert(convert(rate, bytes32), uint256) << RATE)",
)
def test_119__sign_of_a_short_runs_into_the_next_number__each_keeps_its_own(venue_of):
    """Vyper extends the sign when it converts: unmasked, a negative size sets every bit of the basis
    above it, a negative skew those of the price and the lots, a negative rate those of the index.

    A short sells at the price and owes its funding, to the wei; undone, he loses what he sold for, or
    pays no funding at all."""
    for size in (D("-0.000001"), D(-1), D(-1_340)):
        venue = venue_of()
        who, client = venue.attacker, venue.client
        client.deposit(MILLION, signer=who)
        done = client.trade("ETH", size, signer=who, slippage=None)
        # In the same block as the trade, no funding yet.
        leg = venue.view(venue.house, "leg", address_of(who), venue.system.market_id("ETH"))
        assert (int(leg.size), int(leg.skew)) == (to_wad(size), to_wad(size))
        assert int(leg.basis) == formulas.cost_of(to_wad(size), to_wad(done.price), 0)
        state = client.words("ETH")
        assert (state.a.skew, state.a.last_price) == (to_wad(size), 3_000 * WAD)
        assert (state.a.lots, state.b.rate) == (0, 0)
        for _ in range(3):
            venue.wait(DAY)
            venue.system.poke("ETH")
        state, spec = client.words("ETH"), venue.system.table.spec("ETH")
        days = D(3)
        speed = size / spec.skew_scale * spec.max_velocity
        turned = min(spec.max_rate / -speed, days)
        mean = speed * turned * turned / 2 + speed * turned * (days - turned)
        assert from_wad(state.b.rate) == pytest.approx(
            max(speed * days, -spec.max_rate), rel=D("0.001")
        )
        assert from_wad(state.b.funding_index) == pytest.approx(mean * spec.price, rel=D("0.001"))
        owed = from_wad(-state.b.funding_index) * -size
        lost = MILLION - client.account(who).equity
        paid = done.fee + (spec.price - done.price) * -size
        assert lost == pytest.approx(owed + paid, rel=D("0.001"))


# ------------------------------------------------------------------ the compiler (120, 121)


TRAPS = {
    # What it is: (file, a line that stands there once, a trap in its place).
    "reads x before f() changes it": (
        "modules/ledger.vy",
        "    custody: uint256 = self._custody + amount\n",
        "    custody: uint256 = amount\n    custody += self.pull(QUOTE, 0)\n",
    ),
    "compares right to left": (
        "Clearinghouse.vy",
        "    if (equity >= convert(total.maintenance, int256)) != converting:\n",
        "    if (convert(self._top_up(0), int256) >= equity) != converting:\n",
    ),
    "subtracts right to left": (
        "Clearinghouse.vy",
        "        insurance = unsafe_sub(insurance, top_up)\n",
        "        insurance = unsafe_sub(self._top_up(1), insurance)\n",
    ),
    "calls out in a comparison": (
        "LiquidityPool.vy",
        "    if arrived < needed:\n",
        "    if self._pay_in(1) < needed:\n",
    ),
}


@pytest.mark.usefixtures("artifact")  # no contract is run, and there is none to undo
@pytest.mark.parametrize("trap", TRAPS)
def test_120_121__trap_of_the_compiler_in_a_real_source__is_refused_and_there_is_none(
    trap, tmp_path
):
    """`x += f()` reads x first, and comparisons, `|`, `&`, `unsafe_*` evaluate right to left
    (CVE-2023-40015, open): so no call with effects may stand in one."""
    assert [f for path in vyper_files([CONTRACTS]) for f in lint_file(path)] == []
    root = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, root)
    file, old, new = TRAPS[trap]
    text = (root / file).read_text()
    assert text.count(old) == 1
    (root / file).write_text(text.replace(old, new))
    (finding,) = lint_file(root / file)
    line = text[: text.index(old)].count("\n") + new.count("\n")
    assert finding.line == line


# ------------------------------------------------------------------ widths (122)


def widest() -> Table:
    """Two markets as wide as the Configurator lets them be, of many coins and of dear ones, in a venue
    whose leverage is no limit."""
    terms = {
        "max_skew_share": D("0.2"),
        "max_open_interest_share": D("0.2"),
        "im": D("0.4"),
        "mm": D("0.25"),
        "max_velocity": D("16.7"),
        "max_rate": D("0.2"),
        "reward": D(1_000),
    }
    many = market(
        "MANY", 1, "major", skew_scale=79 * 10**9, min_price="0.001", max_price=1_000, **terms
    )
    dear = market(
        "DEAR", 10**5, "major", skew_scale=1_000, min_price=10**4, max_price=79 * 10**9, **terms
    )
    pool = replace(default_table().pool, seed=D(500 * 10**9))
    return Table(markets=(many, dear), pool=pool, insurance=D(0), max_pool_leverage=D(1_000))


@pytest.mark.parametrize(
    ("prices", "months"),
    [
        ({"MANY": "999.9", "DEAR": "78999999999"}, 0),
        ({"MANY": "0.002", "DEAR": "20000"}, 0),
        ({"MANY": "999.9", "DEAR": "78999999999"}, 20),
    ],
)
def test_122__position_at_every_limit_of_width__is_exact_and_liquidates(venue_of, prices, months):
    """Unchecked arithmetic on what a user can scale pays him what is not there (Tigris, c4 2022-12
    #86), and a product that overflows stops a liquidation (Symmetrical, sherlock 2023-06 #241).

    Open interest of a fifth of the greatest scale, from the lowest price to the greatest, and a funding
    index at its end: every number is what exact integers give, and the loser, who owes thousands of
    times what he put in, is liquidated to nothing."""
    venue = venue_of(widest())
    client, house, table = venue.client, venue.house, venue.system.table
    long, short = venue.attacker, venue.victim
    for who in (long, short):
        client.deposit(11 * 10**9, signer=who)
    for spec in table.markets:
        for who, part in ((long, D(1)), (short, D("-0.5"))):
            size = part * spec.max_open_interest
            client.trade(spec.name, size, signer=who, slippage=None)
    venue.prices(**{name: D(price) for name, price in prices.items()})
    for step in [DAY // 2] * 10 * bool(months) + [30 * DAY] * months:
        venue.wait(step)
        venue.system.poke()
    ids = range(len(table.markets))
    ends = [min(64 * to_wad(spec.max_price), 2**95 - 1) for spec in table.markets]
    for number, end in zip(ids, ends, strict=True):
        # A step that would pass the end is not taken.
        index = abs(client.words(number).b.funding_index)
        assert end * 0.9 < index <= end if months else index < end // 10**6
    for who in (long, short):
        equity, maintenance = client.header(who).cash, 0
        for number in ids:
            leg = venue.view(house, "leg", address_of(who), number)
            terms = slots.unpack_terms(int(leg.t0), int(leg.t1), 0)
            worth = formulas.value(
                int(leg.size),
                int(leg.basis),
                int(leg.price),
                int(leg.index),
                terms.mm_ppm,
                terms.skew_scale,
                terms.reward,
            )
            equity, maintenance = equity + worth.pnl, maintenance + worth.required
        expected = formulas.health(equity, maintenance)
        assert int(venue.view(house, "health", address_of(who))) == expected
    loser = next(
        who for who in (long, short) if int(venue.view(house, "health", address_of(who))) == 0
    )
    winner = short if loser is long else long
    fills = []
    for number in ids:
        leg = venue.view(house, "leg", address_of(loser), number)
        scale = int(leg.t1) & (2**96 - 1)
        fills.append(formulas.fill_price(int(leg.price), int(leg.skew), -int(leg.size), scale))
    receipt = venue.send(house, "liquidate", address_of(loser), sender=venue.keeper)
    found = [int(e.args["price"]) for e in receipt.events if e.name == "Fill"]
    assert found == fills
    assert client.header(loser) == slots.Header(cash=0)
    for spec in table.markets:
        client.close(spec.name, signer=winner)
    assert client.account(winner).cash > 11 * 10**9
    assert [client.words(spec.name).a.skew for spec in table.markets] == [0, 0]


def test_122__sizes_that_no_product_could_hold__are_refused_before_any(venue_of):
    """The ends of int256, of the position's slot, of the skew's: refused by name, and nothing moves."""
    venue = venue_of(widest())
    client, who = venue.client, venue.attacker
    client.deposit(10**9, signer=who)
    client.trade("MANY", 10, signer=who)
    before = client.words("MANY").a, client.header(who)
    scale = to_wad(venue.system.table.spec("MANY").skew_scale)
    for size in (2**255 - 1, 2**254, 2**160, 2**128, 2**127, 2**96, scale + 1):
        for delta in (size, -size, -size - 1):
            limit = MAX_UINT if delta > 0 else 0
            why = venue.tried(venue.house, "trade", address_of(who), 0, delta, limit, sender=who)
            assert why == "trade: size out of range", delta
    assert (client.words("MANY").a, client.header(who)) == before
    quote = address_of(venue.token)
    for amount in (MAX_UINT, 2**255, 2**240, 2**128, 2**100):
        why = venue.tried(
            venue.house, "withdraw", address_of(who), quote, amount, address_of(who), sender=who
        )
        assert why == "margin: not enough cash"
        for call in (
            ("deposit", amount, address_of(who), 0),
            ("mint", amount, address_of(who), MAX_UINT),
        ):
            assert venue.tried(venue.pool, *call, sender=who) is not None


# ------------------------------------------------------------------ units (123)


@pytest.mark.defence(
    "Clearinghouse.vy", "fee = fixed_point.ceil_div(fee, WAD * PPM)", "fee = fee // (WAD * 10**4)"
)
def test_123__fee_in_another_unit_than_meant__is_the_share_of_the_notional_that_the_table_says(
    venue_of,
):
    """FutureSwap, January 2026, 0.4m: a fee in basis points taken for one in tokens.

    At the defaults and at the greatest that the Configurator lets an owner set, which takes under a
    tenth of the notional on the way in."""
    venue = venue_of()
    greatest = {"taker_fee_ppm": 20_000, "spread_ppm": 44_000, "liquidation_fee_ppm": 100_000}
    greatest |= {"mm_ppm": 150_000, "im_ppm": 300_000}
    why = tried(lambda: venue.configure("SOL", **greatest | {"taker_fee_ppm": 20_001}))
    assert why == "configurator: taker_fee"
    why = tried(lambda: venue.configure("SOL", **greatest | {"spread_ppm": 44_001}))
    assert why == "configurator: fee below closing"
    venue.configure("SOL", **greatest)
    client, who = venue.client, venue.attacker
    client.deposit(MILLION, signer=who)
    for spec in venue.system.table.markets:
        terms = venue.terms(spec.name)
        for part in (D("0.000001"), D("0.01"), D("0.9")):
            size = (spec.max_skew * part).quantize(WEI)
            before, fund = venue.wealth(who), venue.insurance()
            done = client.trade(spec.name, size, signer=who, slippage=None)
            assert to_wad(done.fee) == formulas.taker_fee(
                to_wad(size), to_wad(done.price), terms.taker_fee_ppm
            )
            assert done.fee == pytest.approx(size * done.price * terms.taker_fee_ppm / PPM)
            assert venue.insurance() - fund == pytest.approx(done.fee / 5, rel=D("0.000001"))
            assert 0 < before - venue.wealth(who) < size * spec.price / 10
            client.close(spec.name, signer=who)


# ------------------------------------------------------------------ truncation (124)


@pytest.mark.defence(
    "modules/fixed_point.vy",
    "return unsafe_sub(q, convert(unsafe_mul(q, y) > x, int256))",
    "return q",
)
@pytest.mark.defence(
    "modules/curve.vy",
    """share: int256 = unsafe_sub(
            0,
            fixed_point.floor_div(
                unsafe_mul(basis, unsafe_sub(0, max(delta, unsafe_sub(0, delta)))), max(size, unsafe_sub(0, size))
            ),
        )""",
    "share: int256 = fixed_point.floor_div(basis * abs(delta), abs(size))",
)
def test_124__odd_pieces_rounded_toward_zero__never_a_wei_to_the_trader(venue_of):
    """-7 // 2 is -3 in Vyper: whoever pays pays less, a wei a call.

    Opening, adding, reducing and turning in odd pieces at an odd price: cash less basis never rises by
    more than the exact fraction, and what a reduction realises is no more than its share."""
    dice = random.Random(124)
    for round_ in range(3):
        venue = venue_of()
        venue.prices(SOL=D("133.33333331"))
        puppet = venue.puppet()
        where = puppet.address
        venue.fund(where, 200_000)
        size, deltas = 0, []
        for _ in range(60):
            way = dice.choice(("more", "less", "less", "turn"))
            if size == 0 or way == "more":
                delta = dice.choice((1, -1)) * dice.randrange(2**32, 10**18) | 1
                delta = abs(delta) if size >= 0 else -abs(delta)
            elif way == "less":
                delta = -size * dice.randrange(1, 100) // 101
            else:
                delta = -size - (1 if size > 0 else -1) * dice.randrange(2**32, 10**18)
            if delta == 0 or 0 < abs(size + delta) < 2**32:
                continue
            size += delta
            deltas.append(delta)
        calls = [puppet.trade("SOL", from_wad(delta), where) for delta in deltas]
        receipt = puppet.act(*calls)
        fills = [e.args for e in receipt.events if e.name == "Fill"]
        fees = [e.args for e in receipt.events if e.name == "FeePaid"]
        moves = [e.args for e in receipt.events if e.name == "CashMoved"]
        cash = [int(m["cash"]) for m in moves if address_of(m["account"]) == address_of(where)]
        assert len(fills) == len(fees) == len(cash) == len(deltas)
        had, position, basis = 200_000 * WAD, 0, 0
        for fill, fee, now, delta in zip(fills, fees, cash, deltas, strict=True):
            exact = -Fraction(delta * int(fill["price"]), WAD)
            got = now + int(fee["fee"]) - int(fill["basis"]) - (had - basis)
            assert exact - 1 < got <= exact, round_
            if 0 < abs(position + delta) < abs(position) and (position > 0) == (
                position + delta > 0
            ):
                kept = Fraction(basis * (position + delta), position)
                assert kept - 1 <= int(fill["basis"]) <= kept, round_
            had, position, basis = now, int(fill["size"]), int(fill["basis"])
        # One transaction: the index stood still, at nothing.
        assert venue.client.words("SOL").b.funding_index == 0


# ------------------------------------------------------------------ views (125)


@pytest.mark.defence("Clearinghouse.vy", "# pragma nonreentrancy on", "# pragma nonreentrancy off")
@pytest.mark.defence("LiquidityPool.vy", "# pragma nonreentrancy on", "# pragma nonreentrancy off")
@pytest.mark.defence(
    "modules/share_token.vy", "# pragma nonreentrancy on", "# pragma nonreentrancy off"
)
def test_125__every_view_of_every_contract_in_the_middle_of_a_transfer__none_tells_what_is_half_done(
    venue_of,
):
    """Curve, July 2023: a getter that answers while the lock is held tells whoever lends on it a price
    that is neither the one before nor the one after.

    Who is at work answers nothing; the one exception, ERC-5267's domain, is constant. Who is not at
    work tells what was true just before, or just after. The Lens, which asks the Clearinghouse, is as
    silent as that."""
    stage = Hostile(venue_of(a_few_markets(), quote=HOSTILE))
    views = {name: stage.calls(name, views=True) for name in DEPLOYED}
    constant = {"clearinghouse", "margin_call_line", "price_status_text"}
    silent = {"previewRedeem", "previewWithdraw", "cost_of"}  # always; there is no lot here
    asked = 0
    for carrier in stage.carriers():
        for name, calls in views.items():
            with stage.venue.imagined():
                around = stage.around(carrier, calls)
            let = {view for view, (_, middle, _) in around.items() if middle.success}
            assert {v for v, (before, _, _) in around.items() if not before.success} <= silent
            for view in let:
                before, middle, after = around[view]
                assert middle in (before, after), (carrier.name, name, view)
            if name == "Clearinghouse":
                assert let == (set() if carrier.house else set(calls)), carrier.name
            elif name == "LiquidityPool":
                assert let <= {"eip712Domain"} or not carrier.pool, carrier.name
            elif name == "Lens":
                assert let == (constant if carrier.house else set(calls)), carrier.name
            else:
                # The Configurator's terms, and an idle auction, which asks the Clearinghouse what lots are worth.
                asks = {"worth"} if carrier.house else set()
                assert let == set(calls) - silent - asks, carrier.name
            asked += len(around)
    assert asked == 16 * sum(map(len, views.values()))

"""What ERC-4626 and ERC-7540 promise of a pool, tried out on its bytecode and undone.

In the manner of the public property suites for vaults: entries, views, and claims of requests that
have matured. No model is asked: each property compares what the pool tells with what it then does.
The fuzzer tries them at the end of each list; by hand:

>>> check(pool, quote, holder="0x…", controllers=["0x…"], amounts=[1, 10**6])

Every amount is raw quote, and the same number is tried as shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from plimsoll.fuzz.chain import Contract, Outcome
from plimsoll.fuzz.properties import Mismatch

MAX_UINT = 2**256 - 1
WIDE = 2**128  # beyond what any pool holds


class Purse(NamedTuple):
    """What somebody has of both tokens."""

    assets: int
    shares: int


class Vault:
    """A pool and its quote token on the fast lane, and somebody who tries things."""

    def __init__(self, pool: Contract, asset: Contract, holder: str) -> None:
        self.pool, self.asset, self.holder = pool, asset, holder
        self.stranger = pool.chain.deployer

    def view(self, name: str, *args: Any, sender: str | None = None) -> Any:
        """A view that must not revert.

        Raises:
            Mismatch: if it does.
        """
        told = self.pool.call(name, *args, sender=sender)
        self.must(told.reason is None, name, f"{args} reverts: {told.reason!r}")
        return told.value

    def act(self, name: str, *args: Any) -> Outcome:
        """A transaction of the holder's."""
        return self.pool.call(name, *args, sender=self.holder)

    def purse(self, who: str) -> Purse:
        """What `who` has."""
        return Purse(self.asset.view("balanceOf", who), self.view("balanceOf", who))

    @contextmanager
    def imagined(self) -> Iterator[None]:
        """Whatever happens inside is undone."""
        mark = self.pool.chain.snapshot()
        try:
            yield
        finally:
            self.pool.chain.restore(mark)

    @contextmanager
    def rich(self, assets: int) -> Iterator[None]:
        """The holder has `assets` more, and has approved the pool to take them."""
        with self.imagined():
            self.asset.call("mint", self.holder, assets)
            self.asset.call("approve", self.pool.address, MAX_UINT, sender=self.holder)
            yield

    def must(self, holds: bool, name: str, detail: str) -> None:
        """A property.

        Raises:
            Mismatch: if it does not hold.
        """
        if not holds:
            raise Mismatch(f"property ERC-4626 {name}", detail)


def check(
    pool: Contract,
    asset: Contract,
    holder: str,
    controllers: Iterable[str],
    amounts: Iterable[int],
) -> None:
    """Try every property; nothing stays.

    Args:
        pool: the LiquidityPool.
        asset: its quote token, which can be minted.
        holder: who tries: an address that can send, and is not the chain's deployer.
        controllers: whose requests are tried, likewise.
        amounts: [raw] to enter with, and to convert.

    Raises:
        Mismatch: at the first that does not hold.
    """
    vault = Vault(pool, asset, holder)
    for amount in amounts:
        _convert(vault, amount)
        _deposit(vault, amount)
        _mint(vault, amount)
    _enter_at_most(vault)
    for controller in controllers:
        _claim(Vault(pool, asset, controller))


# ------------------------------------------------------------------ views


def _convert(v: Vault, amount: int) -> None:
    """Conversions ask nobody who calls, round down, and give nothing on the way there and back."""
    v.view("totalAssets")
    for there, back in (
        ("convertToShares", "convertToAssets"),
        ("convertToAssets", "convertToShares"),
    ):
        told = v.view(there, amount, sender=v.holder)
        v.must(told == v.view(there, amount, sender=v.stranger), there, "differs by caller")
        v.must(v.view(back, told) <= amount, there, f"of {amount} and back gives more")
        v.must(v.view(there, 0) == 0, there, "of nothing is something")


# ------------------------------------------------------------------ entries


def _deposit(v: Vault, assets: int) -> None:
    """A deposit within `maxDeposit` mints what was previewed, for exactly what was said."""
    preview = v.pool.call("previewDeposit", assets)
    most = v.view("maxDeposit", v.holder)
    if preview.ok:
        cost = v.view("previewMint", preview.value)
        v.must(cost <= assets, "previewMint", f"of what {assets} buys is {cost}")
    with v.rich(assets):
        before, supply = v.purse(v.holder), v.view("totalSupply")
        done = v.act("deposit", assets, v.holder, 0)
        if assets > most:
            v.must(not done.ok, "maxDeposit", f"{assets} passes, {most} is the most")
        if not done.ok:
            none = assets == 0 or preview.reason is not None or preview.value == 0
            v.must(assets > most or none, "deposit", f"{assets} of {most}: {done.reason!r}")
            return
        after, minted = v.purse(v.holder), done.value
        v.must(preview.ok, "previewDeposit", f"{preview.reason!r}, but it passes")
        v.must(minted >= preview.value, "previewDeposit", f"{preview.value}, minted {minted}")
        v.must(after == (before.assets - assets, before.shares + minted), "deposit", f"{after}")
        v.must(v.view("totalSupply") == supply + minted, "deposit", "supply")
        v.must(v.view("convertToAssets", minted) <= assets, "deposit", "is worth more than paid")


def _mint(v: Vault, shares: int) -> None:
    """A mint within `maxMint` costs what was previewed, and gives exactly what was said."""
    preview = v.pool.call("previewMint", shares)
    most = v.view("maxMint", v.holder)
    if not preview.ok:
        v.must(most == 0, "maxMint", f"is {most} while {preview.reason!r}")
        return
    with v.rich(preview.value):
        before = v.purse(v.holder)
        done = v.act("mint", shares, v.holder, MAX_UINT)
        if shares > most:
            v.must(not done.ok, "maxMint", f"{shares} passes, {most} is the most")
        if not done.ok:
            v.must(shares > most or shares == 0, "mint", f"{shares} of {most}: {done.reason!r}")
            return
        after, cost = v.purse(v.holder), done.value
        v.must(cost <= preview.value, "previewMint", f"{preview.value}, cost {cost}")
        v.must(after == (before.assets - cost, before.shares + shares), "mint", f"{after}")
        v.must(v.view("convertToAssets", shares) <= cost, "mint", "is worth more than paid")
    bought = v.pool.call("previewDeposit", preview.value)
    v.must(bought.value >= shares, "previewDeposit", f"of {preview.value} buys under {shares}")


def _enter_at_most(v: Vault) -> None:
    """As much as `maxDeposit` and `maxMint` say can be had, and a unit more cannot."""
    for name, most, cost in (
        ("deposit", "maxDeposit", lambda amount: amount),
        ("mint", "maxMint", lambda amount: v.view("previewMint", amount)),
    ):
        told = v.view(most, v.holder)
        if told == 0:
            continue
        limit = 0 if name == "deposit" else MAX_UINT
        with v.rich(cost(told)):
            done = v.act(name, told, v.holder, limit)
            v.must(done.ok, most, f"{told} is refused: {done.reason!r}")
        with v.rich(WIDE):
            v.must(not v.act(name, told + 1, v.holder, limit).ok, most, f"{told + 1} passes")


# ------------------------------------------------------------------ claims


def _claim(v: Vault) -> None:
    """A claim within `maxRedeem` and `maxWithdraw` pays exactly, and past them nothing is paid."""
    mine = v.holder
    for name in ("previewRedeem", "previewWithdraw"):
        v.must(not v.pool.call(name, 1).ok, name, "answers (ERC-7540)")
    pending, ready = (
        v.view("pendingRedeemRequest", 0, mine),
        v.view("claimableRedeemRequest", 0, mine),
    )
    v.must(pending == 0 or ready == 0, "claimableRedeemRequest", "beside a pending one")
    shares, assets = v.view("maxRedeem", mine), v.view("maxWithdraw", mine)
    v.must(shares <= ready, "maxRedeem", f"{shares} of {ready} claimable")
    v.must((shares == 0) == (assets == 0), "maxWithdraw", f"{assets} beside {shares} shares")
    paid = _pays(v, "redeem", shares, lambda shares_, paid_: paid_)
    burned = _pays(v, "withdraw", assets, lambda assets_, burned_: assets_)
    for name, most in (("redeem", shares), ("withdraw", assets)):
        with v.imagined():
            v.must(not v.act(name, most + 1, mine, mine, _limit(name)).ok, name, f"past {most}")
            others = v.pool.call(name, max(most, 1), mine, mine, _limit(name), sender=v.stranger)
            v.must(not others.ok, name, "by a stranger")
    if shares:
        v.must(paid <= assets, "maxWithdraw", f"{assets}, while {shares} shares pay {paid}")
        v.must(burned <= ready, "withdraw", f"burns {burned} of {ready}")
        _there_and_back(v, shares, assets)


def _limit(name: str) -> int:
    return 0 if name == "redeem" else MAX_UINT


def _pays(v: Vault, name: str, amount: int, paid_of: Callable[[int, int], int]) -> int:
    """A claim of the most that is told; what the call gives back."""
    if amount == 0:
        return 0
    with v.imagined():
        before, supply = v.purse(v.holder), v.view("totalSupply")
        done = v.act(name, amount, v.holder, v.holder, _limit(name))
        v.must(done.ok, f"max {name}", f"{amount} is refused: {done.reason!r}")
        paid = paid_of(amount, done.value)
        burned = amount + done.value - paid
        after = v.purse(v.holder)
        v.must(after == (before.assets + paid, before.shares), name, f"{after}, not {paid} more")
        v.must(v.view("totalSupply") == supply - burned, name, "supply")
        return int(done.value)


def _there_and_back(v: Vault, shares: int, assets: int) -> None:
    """Who claims and enters again with what he got has no more than before."""
    with v.imagined():
        got = v.act("redeem", shares, v.holder, v.holder, 0).value
        v.asset.call("approve", v.pool.address, MAX_UINT, sender=v.holder)
        again = v.act("deposit", got, v.holder, 0)
        v.must((again.value or 0) <= shares, "redeem and deposit", f"{again.value} for {shares}")
    with v.imagined():
        burned = v.act("withdraw", assets, v.holder, v.holder, MAX_UINT).value
        cost = v.pool.call("previewMint", burned)
        v.must(not cost.ok or cost.value >= assets, "withdraw and mint", f"{cost.value}")

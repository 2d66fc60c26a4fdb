"""B. Margin, equity, withdrawals (21 to 32)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.utils.calls import refusal

D = Decimal


@pytest.mark.defence(
    "Clearinghouse.vy",
    "if margin.equity(cash, total.pnl, 0) < convert(total.initial, int256):",
    "if margin.equity(cash, total.pnl, 10**6) < convert(total.initial, int256):",
)
def test_21__withdraw_paper_profit__only_cash_above_the_requirement_leaves(venue):
    """Hyperliquid, March 2025: a whale took out his margin against unrealised profit, was liquidated
    on purpose, and left the vault with a position of 4m loss."""
    client, attacker = venue.client, venue.attacker
    client.deposit(50_000, signer=attacker)
    client.trade("ETH", 100, signer=attacker)
    venue.prices(ETH=3_300)  # 30,000 of paper profit
    view = client.account(attacker)
    assert view.pnl > 29_000
    assert view.withdrawable <= view.cash - view.initial
    too_much = view.withdrawable + D("0.01")
    assert refusal(lambda: client.withdraw(too_much, signer=attacker)) == "margin: below initial"
    client.withdraw(view.withdrawable - D("0.01"), signer=attacker)
    after = client.account(attacker)
    assert after.cash >= after.initial

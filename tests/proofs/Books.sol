// SPDX-License-Identifier: AGPL-3.0-only
pragma solidity ^0.8.30;

import {Code} from "./Code.sol";
import {Venue} from "./Venue.sol";

/// LED-1 to LED-3, one step at a time: whatever the books were, a call leaves them as balanced as they were.
/// The shape of the step is numbers, one function a shape; all money is free.
contract Books is Venue {
    struct Sums {
        uint120 quote; // cash of everybody who may be paid, less the trader's basis, modulo 2**120
        int256 base; // the skews less the trader's sizes: the other traders' sizes
        uint256 exposure; // booked, less what the markets say
        uint256 custody;
        uint256 header; // of some other account
        uint256 position; // some other position
    }

    function check_trade_opens_long(address who, uint256 key) public {
        trade(0, HELD, who, key);
    }

    function check_trade_opens_short(address who, uint256 key) public {
        trade(0, -HELD, who, key);
    }

    function check_trade_adds_long(address who, uint256 key) public {
        trade(HELD, PART, who, key);
    }

    function check_trade_adds_short(address who, uint256 key) public {
        trade(-HELD, -PART, who, key);
    }

    // Here the trader's basis is a number: what a part of it is, is a product by a quotient.

    function check_trade_reduces_long_in_profit(address who, uint256 key) public {
        reduce(HELD, -PART, 70.000000000000000007 ether, who, key);
    }

    function check_trade_reduces_long_in_loss(address who, uint256 key) public {
        reduce(HELD, -PART, -90.000000000000000007 ether, who, key);
    }

    function check_trade_reduces_short_in_profit(address who, uint256 key) public {
        reduce(-HELD, PART, 70.000000000000000007 ether, who, key);
    }

    function check_trade_reduces_short_in_loss(address who, uint256 key) public {
        reduce(-HELD, PART, -90.000000000000000007 ether, who, key);
    }

    function check_trade_closes_long(address who, uint256 key) public {
        trade(HELD, -HELD, who, key);
    }

    function check_trade_closes_short(address who, uint256 key) public {
        trade(-HELD, HELD, who, key);
    }

    function check_trade_crosses_to_short(address who, uint256 key) public {
        trade(HELD, -HELD - PART, who, key);
    }

    function check_trade_crosses_to_long(address who, uint256 key) public {
        trade(-HELD, HELD + PART, who, key);
    }

    // Here the trader's cash and basis are numbers too: at the price of now his equity is near his cash.

    function check_liquidation_pays_the_whole_fee(address who, uint256 key) public {
        liquidate(HELD, 0, 200.000000000000000007 ether, KEEPER, who, key);
    }

    function check_liquidation_pays_a_part(address who, uint256 key) public {
        liquidate(-HELD, 0, 60.000000000000000007 ether, KEEPER, who, key);
    }

    function check_liquidation_pays_the_owner(address who, uint256 key) public {
        liquidate(-HELD, 0, 150.000000000000000007 ether, TRADER, who, key);
    }

    // And what the fund has is a number: more than it is asked for, less, or nothing that a debt leaves.

    function check_liquidation_topped_up_by_a_part_of_the_fund(address who, uint256 key) public {
        fund(1_000.000000000000000001 ether);
        liquidate(HELD, 0, 5.000000000000000007 ether, KEEPER, who, key);
    }

    function check_liquidation_topped_up_by_all_of_the_fund(address who, uint256 key) public {
        fund(1.000000000000000001 ether);
        liquidate(HELD, 0, 5.000000000000000007 ether, KEEPER, who, key);
    }

    function check_liquidation_topped_up_by_a_fund_that_pays_a_debt(address who, uint256 key) public {
        fund(1_000.000000000000000001 ether);
        liquidate(HELD, 0, -50.000000000000000007 ether, KEEPER, who, key);
    }

    function check_liquidation_topped_up_by_a_fund_beside_a_dead_leg(address who, uint256 key) public {
        fund(1_000.000000000000000001 ether);
        liquidate(HELD, -PART, -50.000000000000000007 ether, KEEPER, who, key);
    }

    function check_liquidation_topped_up_no_more_and_the_pool_pays(address who, uint256 key) public {
        fund(31.000000000000000001 ether);
        liquidate(-HELD, 0, -50.000000000000000007 ether, KEEPER, who, key);
    }

    function check_liquidation_pays_beside_a_dead_leg(address who, uint256 key) public {
        liquidate(HELD, -PART, 200.000000000000000007 ether, KEEPER, who, key);
    }

    function trade(int256 held, int256 delta, address who, uint256 key) internal {
        if (Code.MUTANT) stand(0, held, true, 0);
        else plain(0, held, true);
        step(held, delta, who, key);
    }

    function reduce(int256 held, int256 delta, int256 profit, address who, uint256 key) internal {
        stand(0, held, true, profit);
        step(held, delta, who, key);
    }

    function step(int256 held, int256 delta, address who, uint256 key) internal {
        uint256 bits = held == 0 ? 0 : 1;
        if (Code.MUTANT) write(slot_of(TRADER), (uint256(10_000 ether) << 136) | bits);
        else bitmap(bits);
        Sums memory before = sums(1, who, key);
        vm.prank(TRADER);
        try clearinghouse.trade(TRADER, 0, delta, delta > 0 ? type(uint256).max : 0) {
            same(before, sums(1, who, key));
        } catch {}
    }

    function liquidate(int256 held, int256 dead, int256 money, address keeper, address who, uint256 key) internal {
        uint256 markets = dead == 0 ? 1 : 2;
        stand(0, held, true, 0);
        if (markets == 2) stand(1, dead, false, 0);
        write(slot_of(TRADER), (uint256(money) << 136) | (2 ** markets - 1));
        Sums memory before = sums(markets, who, key);
        vm.prank(keeper);
        try clearinghouse.liquidate(TRADER) {
            same(before, sums(markets, who, key));
        } catch {}
    }

    function fund(uint256 money) internal {
        write(slot_of(address(clearinghouse)), money << 136);
    }

    function sums(uint256 markets, address who, uint256 key) internal returns (Sums memory s) {
        vm.assume(who != TRADER);
        vm.assume(who != pool);
        vm.assume(who != KEEPER);
        vm.assume(who != address(clearinghouse));
        unchecked {
            s.quote = low(TRADER) + low(pool) + low(KEEPER) + low(address(clearinghouse));
            s.exposure = word(Code.BOOK) >> 64;
            for (uint256 id; id < markets; ++id) {
                vm.assume(key != key_of(TRADER) | id);
                uint256 held = position(key_of(TRADER) | id);
                uint256 a = word(MARKET + 4 * id + 2);
                s.quote -= uint120(held >> 128);
                s.base += (int256(a << 160) >> 160) - (int256(held << 128) >> 128);
                s.exposure -= (open_interest(a) * uint96(a >> 96)) / 1 ether;
            }
        }
        s.custody = word(Code.CUSTODY);
        s.header = header(who);
        s.position = position(key);
    }

    function low(address account) internal view returns (uint120) {
        return uint120(header(account) >> 136);
    }

    /// The larger side, counting the pool in neither.
    function open_interest(uint256 a) internal pure returns (uint256) {
        int256 net = int256(a << 160) >> 160;
        int256 long = int256((a >> 192) << 32);
        int256 short = long - net;
        return uint256(net > long ? net : short > long ? short : long);
    }

    function same(Sums memory a, Sums memory b) internal pure {
        assert(a.quote == b.quote);
        assert(a.base == b.base);
        assert(uint112(a.exposure) == uint112(b.exposure));
        assert(a.custody == b.custody);
        assert(a.header == b.header);
        assert(a.position == b.position);
    }
}

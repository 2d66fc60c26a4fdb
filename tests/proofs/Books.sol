// SPDX-License-Identifier: AGPL-3.0-only
pragma solidity ^0.8.30;

import {Code} from "./Code.sol";
import {Venue} from "./Venue.sol";

/// LED-1 to LED-3, one step at a time: whatever the books were, a call leaves them as balanced as they were.
contract Books is Venue {
    struct Sums {
        uint120 quote; // cash of everybody who may be paid, less the basis
        uint96 base; // the skew less the trader's size: the other traders' sizes
        uint256 custody;
        uint256 header; // of some other account
        uint256 position; // some other position
    }

    function check_trade(uint96 t0, int256 answer, int256 delta, uint256 limit, address who, uint256 key) public {
        arrange(t0, answer);
        Sums memory before = sums(who, key);
        uint256 of_pool = header(pool);
        vm.prank(TRADER);
        try clearinghouse.trade(TRADER, 0, delta, limit) {
            // Left out: a fill whose cost and fee cancel in the pool, to the wei. Adding that equation up is too
            // much for a solver that goes bit by bit.
            vm.assume(header(pool) != of_pool);
            assert(same(before, sums(who, key)));
        } catch {}
    }

    function check_liquidation(uint96 t0, int256 answer, address who, uint256 key) public {
        arrange(t0, answer);
        Sums memory before = sums(who, key);
        (uint256 of_pool, uint256 of_fund) = (header(pool), header(address(clearinghouse)));
        vm.prank(KEEPER);
        try clearinghouse.liquidate(TRADER) {
            vm.assume(header(pool) != of_pool && header(address(clearinghouse)) != of_fund); // as above
            assert(same(before, sums(who, key)));
        } catch {}
    }

    function sums(address who, uint256 key) internal returns (Sums memory) {
        vm.assume(who != TRADER);
        vm.assume(who != pool);
        vm.assume(who != KEEPER);
        vm.assume(who != address(clearinghouse));
        vm.assume(key != key_of(TRADER));
        unchecked {
            return Sums(
                low_cash(TRADER) + low_cash(pool) + low_cash(KEEPER) + low_cash(address(clearinghouse))
                    - uint120(position(key_of(TRADER)) >> 128),
                uint96(word(MARKET + 2)) - uint96(position(key_of(TRADER))),
                word(Code.CUSTODY),
                header(who),
                position(key)
            );
        }
    }

    function low_cash(address account) internal view returns (uint120) {
        return uint120(header(account) >> 136);
    }

    function same(Sums memory a, Sums memory b) internal pure returns (bool) {
        return all(
            a.quote == b.quote,
            a.base == b.base,
            a.custody == b.custody,
            a.header == b.header,
            a.position == b.position
        );
    }
}

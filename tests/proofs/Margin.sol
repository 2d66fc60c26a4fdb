// SPDX-License-Identifier: AGPL-3.0-only
pragma solidity ^0.8.30;

import {Code} from "./Code.sol";
import {Venue} from "./Venue.sol";

/// What SPEC.md says of margin, written once more, independently of the contract.
library Spec {
    uint256 constant PPM = 1e6;

    function ceil(uint256 x, uint256 y) internal pure returns (uint256) {
        unchecked {
            return (x + y - 1) / y;
        }
    }

    function floor(int256 x, int256 y) internal pure returns (int256 q) {
        assembly {
            q := sdiv(x, y)
            q := sub(q, sgt(mul(q, y), x))
        }
    }

    /// MGN-1, MGN-2 but for the flat reward: ceil(N * (ratio + depth / 2S)).
    function weight(uint256 ratio_ppm, uint256 depth, uint256 scale) internal pure returns (uint256) {
        unchecked {
            return ratio_ppm * (scale << 1) + depth * PPM;
        }
    }

    function required(uint256 notional, uint256 weight_, uint256 scale) internal pure returns (uint256) {
        unchecked {
            return ceil(notional * weight_, (scale << 1) * PPM);
        }
    }

    function notional_of(uint256 own, uint256 price) internal pure returns (uint256) {
        unchecked {
            return ceil(own * price, 1 ether);
        }
    }

    function magnitude(int256 x) internal pure returns (uint256 y) {
        assembly {
            let z := sub(0, x)
            y := xor(mul(sgt(x, z), xor(z, x)), z)
        }
    }

    function larger(uint256 x, uint256 y) internal pure returns (uint256 z) {
        assembly {
            z := xor(mul(gt(x, y), xor(y, x)), y)
        }
    }

    function smaller(uint256 x, uint256 y) internal pure returns (uint256 z) {
        assembly {
            z := xor(mul(lt(x, y), xor(y, x)), y)
        }
    }
}

contract Margin is Venue {
    /// MGN-5, MGN-7: with a position, what is left after a withdrawal covers the initial margin, and an
    /// unrealised profit does not count; without a valid price nothing is withdrawn. The three cover every state
    /// of the settlement's share and every answer of the feed. When the venue is calm from is free as well.
    function check_withdrawal_at_a_price(uint96 t0, int256 answer, uint256 amount, address receiver) public {
        write(Code.CUSTODY, uint128(word(Code.CUSTODY)));
        withdraw(t0, answer, amount, receiver);
    }

    function check_withdrawal_at_a_price_in_a_settlement(uint96 t0, int256 answer, uint256 amount, address receiver) public {
        vm.assume(word(Code.CUSTODY) >> 128 != 0);
        withdraw(t0, answer, amount, receiver);
    }

    function check_withdrawal_without_a_price(uint96 t0, int256 answer, uint256 amount, address receiver) public {
        answer = arrange(t0, answer);
        vm.assume(size(TRADER) != 0);
        if (Code.MUTANT) feed.set(answer = 0, block.timestamp);
        vm.assume(!is_valid(answer));
        vm.prank(TRADER);
        try clearinghouse.withdraw(TRADER, pool, amount, receiver) {
            assert(false);
        } catch {}
    }

    function withdraw(uint96 t0, int256 answer, uint256 amount, address receiver) internal {
        answer = arrange(t0, answer);
        vm.assume(size(TRADER) != 0);
        vm.assume(is_valid(answer));
        vm.prank(TRADER);
        try clearinghouse.withdraw(TRADER, pool, amount, receiver) {
            unchecked {
                (int256 pnl, uint256 initial) = leg(answer);
                assert(cash(TRADER) + (pnl > 0 ? int256(0) : pnl) >= int256(initial));
            }
        } catch {}
    }

    function is_valid(int256 answer) internal view returns (bool yes) {
        (uint256 price, uint256 least, uint256 most) = (uint256(answer), min_price(), max_price());
        assembly {
            yes := and(sgt(answer, 0), and(slt(answer, shl(96, 1)), and(gt(price, least), lt(price, most))))
        }
    }

    /// MGN-6, MGN-7: whoever was allowed a trade that does more than reduce cannot be liquidated in the same
    /// block. One function a shape of trade; his cash is free, or against a mutant what is named last.
    function check_trade_opens_long() public {
        stand(0, 0, true, 0);
        trade(HELD, 100 ether);
    }

    function check_trade_opens_short() public {
        stand(0, 0, true, 0);
        trade(-HELD, 100 ether);
    }

    function check_trade_adds_long_in_profit() public {
        stand(0, HELD, true, 300 ether);
        trade(PART, 10 ether);
    }

    function check_trade_adds_long_in_loss() public {
        stand(0, HELD, true, -300 ether);
        trade(PART, 400 ether);
    }

    function check_trade_adds_short_in_profit() public {
        stand(0, -HELD, true, 300 ether);
        trade(-PART, 10 ether);
    }

    function check_trade_adds_short_in_loss() public {
        stand(0, -HELD, true, -300 ether);
        trade(-PART, 400 ether);
    }

    function check_trade_crosses_to_short() public {
        stand(0, PART, true, 0);
        trade(-PART - HELD, 100 ether);
    }

    function check_trade_crosses_to_long() public {
        stand(0, -PART, true, 0);
        trade(PART + HELD, 100 ether);
    }

    function trade(int256 delta, int256 money) internal {
        // What the others have is no matter here: the books' proofs leave it free.
        write(slot_of(pool), uint256(1_000_000 ether) << 136);
        write(slot_of(address(clearinghouse)), uint256(1_000 ether) << 136);
        write(slot_of(KEEPER), 0);
        uint256 bits = size(TRADER) == 0 ? 0 : 1;
        bitmap(bits);
        if (Code.MUTANT) write(slot_of(TRADER), (uint256(money) << 136) | bits);
        vm.prank(TRADER);
        try clearinghouse.trade(TRADER, 0, delta, delta > 0 ? type(uint256).max : 0) {
            vm.prank(KEEPER);
            try clearinghouse.liquidate(TRADER) {
                assert(false);
            } catch {}
        } catch {}
    }

    /// The trader's leg: its unrealised PnL and the initial margin that it asks for, both at the worse of the
    /// oracle's and the stable price.
    function leg(int256 answer) internal view returns (int256 pnl, uint256 initial) {
        unchecked {
            int256 held = size(TRADER);
            uint256 price = uint256(answer);
            uint256 stable = stable_price(price);
            pnl = Spec.floor(held * (answer - funding_index()), 1 ether) - basis(TRADER);
            uint256 own = Spec.magnitude(held);
            uint256 high = Spec.larger(price, stable);
            uint256 gap = held > 0 ? price - Spec.smaller(price, stable) : high - price;
            if (gap != 0) pnl -= int256(Spec.notional_of(own, gap));
            uint256 crowd = Spec.larger(own, Spec.magnitude(skew()));
            uint256 notional = Spec.notional_of(own, high);
            initial = Spec.required(notional, Spec.weight(im_ppm(), crowd, scale()), scale()) + reward();
        }
    }

    /// PRC-3, for a market that was touched in this second: the oracle's price, but no further from the stored one
    /// than what packing cut off it.
    function stable_price(uint256 price) internal view returns (uint256) {
        unchecked {
            uint256 steady = uint48(word(MARKET + 3));
            if (steady == 0) return price;
            uint256 kept = (max_price() * steady) >> 48;
            return Spec.larger(Spec.smaller(price, kept + (max_price() >> 47)), kept);
        }
    }
}

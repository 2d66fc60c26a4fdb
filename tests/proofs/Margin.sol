// SPDX-License-Identifier: AGPL-3.0-only
pragma solidity ^0.8.30;

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
}

contract Margin is Venue {
    /// MGN-5, MGN-7: with a position, what is left after a withdrawal covers the initial margin, and an
    /// unrealised profit does not count.
    function check_withdrawal(uint96 t0, int256 answer, uint256 amount, address receiver) public {
        answer = arrange(t0, answer);
        vm.assume(size(TRADER) != 0);
        vm.prank(TRADER);
        try clearinghouse.withdraw(TRADER, pool, amount, receiver) {
            unchecked {
                (int256 pnl, uint256 initial,) = leg(answer);
                assert(cash(TRADER) + (pnl > 0 ? int256(0) : pnl) >= int256(initial));
            }
        } catch {}
    }

    /// MGN-6, MGN-7: whoever was allowed a trade that does more than reduce cannot be liquidated in the same
    /// block. One function a shape of trade; his cash is free, and his basis where the trade leaves none of it.
    function check_trade_opens_long() public {
        plain(0, 0, true);
        trade(HELD);
    }

    function check_trade_opens_short() public {
        plain(0, 0, true);
        trade(-HELD);
    }

    function check_trade_adds_long_in_profit() public {
        stand(0, HELD, true, 1_000 ether);
        trade(PART);
    }

    function check_trade_adds_long_in_loss() public {
        stand(0, HELD, true, -1_000 ether);
        trade(PART);
    }

    function check_trade_adds_short_in_profit() public {
        stand(0, -HELD, true, 1_000 ether);
        trade(-PART);
    }

    function check_trade_adds_short_in_loss() public {
        stand(0, -HELD, true, -1_000 ether);
        trade(-PART);
    }

    function check_trade_crosses_to_short() public {
        plain(0, PART, true);
        trade(-PART - HELD);
    }

    function check_trade_crosses_to_long() public {
        plain(0, -PART, true);
        trade(PART + HELD);
    }

    function trade(int256 delta) internal {
        bitmap(size(TRADER) == 0 ? 0 : 1);
        vm.prank(TRADER);
        try clearinghouse.trade(TRADER, 0, delta, delta > 0 ? type(uint256).max : 0) {
            vm.prank(KEEPER);
            try clearinghouse.liquidate(TRADER) {
                assert(false);
            } catch {}
        } catch {}
    }

    /// The trader's leg: its unrealised PnL and what it asks for.
    function leg(int256 answer) internal view returns (int256 pnl, uint256 initial, uint256 maintenance) {
        unchecked {
            int256 held = size(TRADER);
            pnl = Spec.floor(held * (answer - funding_index()), 1 ether) - basis(TRADER);
            uint256 own = Spec.magnitude(held);
            uint256 notional = Spec.notional_of(own, uint256(answer));
            uint256 crowd = Spec.larger(own, Spec.magnitude(skew()));
            initial = Spec.required(notional, Spec.weight(im_ppm(), crowd, scale()), scale()) + reward();
            maintenance = Spec.required(notional, Spec.weight(mm_ppm(), own, scale()), scale()) + reward();
        }
    }
}

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

    function reduces(int256 held, int256 delta) internal pure returns (bool) {
        unchecked {
            return held > 0 ? delta < 0 && held + delta >= 0 : delta > 0 && held + delta <= 0;
        }
    }

    function larger(uint256 x, uint256 y) internal pure returns (uint256 z) {
        assembly {
            z := xor(mul(gt(x, y), xor(y, x)), y)
        }
    }
}

/// What the proof of `Margin.check_trade` needs to know of products and quotients.
library Facts {
    function implies(bool a, bool b) private pure returns (bool c) {
        assembly {
            c := or(iszero(a), b)
        }
    }

    function both(bool a, bool b) private pure returns (bool c) {
        assembly {
            c := and(a, b)
        }
    }

    function of_notional(uint256 own, uint256 price) internal pure returns (bool) {
        return implies(both(own < 2 ** 97, price < 2 ** 96), Spec.notional_of(own, price) < 2 ** 134);
    }

    /// More of each asks for more.
    function of_weights(uint256 im, uint256 mm, uint256 crowd, uint256 own, uint256 scale) internal pure returns (bool) {
        uint256 more = Spec.weight(im, crowd, scale);
        return implies(
            both(both(mm <= im, im < 2 ** 20), both(both(own <= crowd, crowd < 2 ** 98), scale < 2 ** 96)),
            both(Spec.weight(mm, own, scale) <= more, more < 2 ** 119)
        );
    }

    /// Rounding up keeps the order.
    function of_order(uint256 x, uint256 more, uint256 less, uint256 y) internal pure returns (bool) {
        unchecked {
            uint256 high = Spec.ceil(x * more, y);
            return implies(
                both(both(x < 2 ** 134, less <= more), both(more < 2 ** 119, both(y > 0, y < 2 ** 119))),
                both(Spec.ceil(x * less, y) <= high, high < 2 ** 254)
            );
        }
    }

    /// A share of a profit is no more than the profit.
    function of_profit(int256 pnl, uint256 weight_ppm) internal pure returns (bool) {
        unchecked {
            return implies(both(pnl > 0, pnl < 2 ** 137), (pnl * int256(weight_ppm)) / int256(Spec.PPM) <= pnl);
        }
    }

    function of_health(int256 equity, uint256 maintenance) internal pure returns (bool) {
        unchecked {
            return implies(
                both(both(equity >= 0, equity < 2 ** 140), both(maintenance > 0, maintenance <= uint256(equity))),
                uint256(equity) * 1 ether / maintenance >= 1 ether
            );
        }
    }
}

contract FactsHold {
    function check_notional(uint256 own, uint256 price) public pure {
        assert(Facts.of_notional(own, price));
    }

    function check_weights(uint256 im, uint256 mm, uint256 crowd, uint256 own, uint256 scale) public pure {
        assert(Facts.of_weights(im, mm, crowd, own, scale));
    }

    function check_order(uint256 x, uint256 more, uint256 less, uint256 y) public pure {
        assert(Facts.of_order(x, more, less, y));
    }

    function check_profit(int256 pnl) public pure {
        assert(Facts.of_profit(pnl, 500_000));
    }

    function check_health(int256 equity, uint256 maintenance) public pure {
        assert(Facts.of_health(equity, maintenance));
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

    /// MGN-6, MGN-7: whoever was allowed a trade that does more than reduce has a health of 1 or more in
    /// the same block. Products and quotients stay opaque but for the facts, which `FactsHold` proves.
    function check_trade(uint96 t0, int256 answer, int256 delta, uint256 limit) public {
        answer = arrange(t0, answer);
        vm.assume(im_ppm() >= mm_ppm() && scale() != 0);
        int256 held = size(TRADER);
        vm.assume(held < 2 ** 95 && held > -2 ** 95);
        if (Spec.reduces(held, delta)) return;
        unchecked {
            held += delta;
        }
        vm.prank(TRADER);
        try clearinghouse.trade(TRADER, 0, delta, limit) {
            uint256 health = clearinghouse.health(TRADER);
            assert(size(TRADER) == held);
            know(answer);
            assert(health >= 1 ether);
        } catch {}
    }

    function know(int256 answer) internal {
        unchecked {
            uint256 own = Spec.magnitude(size(TRADER));
            uint256 crowd = Spec.larger(own, Spec.magnitude(skew()));
            uint256 notional = Spec.notional_of(own, uint256(answer));
            (int256 pnl,, uint256 maintenance) = leg(answer);
            vm.assume(Facts.of_notional(own, uint256(answer)));
            vm.assume(Facts.of_weights(im_ppm(), mm_ppm(), crowd, own, scale()));
            uint256 more = Spec.weight(im_ppm(), crowd, scale());
            uint256 less = Spec.weight(mm_ppm(), own, scale());
            vm.assume(Facts.of_order(notional, more, less, (scale() << 1) * Spec.PPM));
            vm.assume(pnl < 2 ** 136 && pnl > -2 ** 136); // a size and a price gap of 97 bits, and a basis of 128
            vm.assume(Facts.of_profit(pnl, PROFIT_WEIGHT_PPM));
            vm.assume(Facts.of_health(cash(TRADER) + pnl, maintenance));
        }
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

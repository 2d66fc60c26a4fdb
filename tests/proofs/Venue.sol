// SPDX-License-Identifier: AGPL-3.0-only
pragma solidity ^0.8.30;

import {Code} from "./Code.sol"; // the compiled contract and its storage slots, written by run.py

interface Vm {
    function assume(bool) external;
    function prank(address) external;
    function warp(uint256) external;
    function load(address, bytes32) external view returns (bytes32);
    function store(address, bytes32, bytes32) external;
    function setArbitraryStorage(address) external;
}

interface IClearinghouse {
    function withdraw(address account, address token, uint256 amount, address receiver) external;
    function trade(address account, uint256 market, int256 delta, uint256 limit) external returns (uint256);
    function liquidate(address account) external returns (uint256);
}

/// The Clearinghouse's four peers in one: quote token of 18 decimals, pool, configurator and auction.
contract Peer {
    uint8 public constant decimals = 18;
    uint256 public constant keeper_share_ppm = 200_000;

    function clearinghouse() external view returns (address) {
        return msg.sender;
    }

    function transfer(address, uint256) external pure returns (bool) {
        return true;
    }
}

contract Feed {
    int256 answer;
    uint256 updatedAt;

    function set(int256 answer_, uint256 updatedAt_) external {
        answer = answer_;
        updatedAt = updatedAt_;
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return (1, answer, updatedAt, updatedAt, 1);
    }
}

/// The real Clearinghouse with every storage slot a free symbol, and a market or two of it put in order.
abstract contract Venue {
    Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 constant PROFIT_WEIGHT_PPM = 500_000;
    uint256 constant STABLE_SPEED_PPM = 60_000;
    address constant TRADER = address(0x7AADE200);
    address constant KEEPER = address(0x4EE9E200);
    int256 constant HELD = 5_000000000987654321; // sizes of a plain market's shapes
    int256 constant PART = 3_000000000000000005;
    int256 constant OTHERS = 7_000000000123456789; // long, the other traders of a plain market
    uint256 constant LAST_PRICE = 1_990_120000000000000007;
    uint256 constant MARKET = Code.MARKETS; // the first one: four words, terms 0 and 1, state a and b

    IClearinghouse clearinghouse;
    address pool;
    Feed feed;

    function setUp() public {
        pool = address(new Peer());
        feed = new Feed();
        // No sequencer and no limit on what leaves in an hour: each only refuses what is allowed here.
        bytes memory code = abi.encodePacked(
            Code.CLEARINGHOUSE,
            abi.encode(pool, 0, pool, pool, pool, 200_000, 200_000, PROFIT_WEIGHT_PPM, 1_500_000, 100 ether),
            abi.encode(new Peer(), address(0), STABLE_SPEED_PPM, 0, 0)
        );
        address made;
        assembly {
            made := create(0, add(code, 32), mload(code))
        }
        require(made != address(0), "the clearinghouse refuses its peers");
        clearinghouse = IClearinghouse(made);
        vm.setArbitraryStorage(made);
        vm.warp(1_750_000_000);
        // Interest is up to date; nobody has collateral tokens, and debts begin with the call.
        write(Code.DEBTS, (1 ether << 168) | (block.timestamp << 128) | uint128(word(Code.DEBTS)));
        write(uint256(keccak256(abi.encode(Code.BACKINGS, TRADER))), 1 ether << 16);
        write(Code.CREDIT, 0); // nor may anybody open into a debt
        vm.assume(header(KEEPER) >> 252 == 0);
        vm.assume(header(made) >> 252 == 0);
    }

    /// What is not left free: the market has a feed of 18 decimals with an answer of now, price bounds in
    /// whole quote, an initial requirement, and its funding accrued in this second (the index is free). What is
    /// stored of its stable price is free, and from when on the venue is calm.
    /// The trader is in that market, with any size or none, and in no other.
    /// Against a mutant, one market of plain terms at one price and one position, and the rest as free as
    /// before: a counterexample among the few states is one among them all.
    function arrange(uint96 t0, int256 answer) internal returns (int256) {
        uint256 t1 = (word(MARKET + 1) & ~(uint256(31) << 188)) | (18 << 188);
        uint256 b = (word(MARKET + 3) & ~(uint256(type(uint32).max) << 68)) | (block.timestamp << 68);
        if (Code.MUTANT) {
            (t0, t1, b, answer) = (Code.PLAIN_T0, Code.PLAIN_T1, block.timestamp << 68, Code.PLAIN_PRICE);
            write(MARKET + 2, Code.PLAIN_A);
            write(slot_of_position(key_of(TRADER)), Code.PLAIN_POSITION);
        }
        feed.set(answer, block.timestamp);
        write(MARKET, (uint256(t0 & ~(uint96(31) << 20)) << 160) | uint160(address(feed)));
        write(MARKET + 1, t1);
        write(MARKET + 3, b);
        vm.assume(im_ppm() != 0);
        bitmap(1);
        return answer;
    }

    /// A market of plain terms at an awkward price, an hour of funding due, and a position of this size of the
    /// trader's in it. All of that is numbers; his basis and every word that is not written here stay free. A
    /// market with a dead feed has its last price.
    function plain(uint256 id, int256 held, bool live) internal {
        write(Code.CUSTODY, uint128(word(Code.CUSTODY))); // nothing is being settled
        Feed its = new Feed();
        its.set(live ? Code.PLAIN_PRICE : int256(0), block.timestamp);
        uint256 at = MARKET + 4 * id;
        uint256 long = uint256(OTHERS + (held > 0 ? held : int256(0)));
        write(at, (uint256(Code.PLAIN_T0) << 160) | uint160(address(its)));
        write(at + 1, Code.PLAIN_T1);
        write(at + 2, ((long >> 32) << 192) | (LAST_PRICE << 96) | uint96(int96(OTHERS + held)));
        write(at + 3, Code.PLAIN_B | ((block.timestamp - 1 hours) << 68));
        uint256 slot = slot_of_position(key_of(TRADER) | id);
        uint256 free = held == 0 ? 0 : word(slot) & ~uint256(type(uint128).max);
        write(slot, free | uint128(int128(held)));
    }

    /// The same with a basis that makes about this profit.
    function stand(uint256 id, int256 held, bool live, int256 profit) internal {
        plain(id, held, live);
        int256 price = live ? Code.PLAIN_PRICE : int256(LAST_PRICE);
        int256 stands_at = (held * (price - Code.PLAIN_INDEX)) / 1 ether - profit;
        write(slot_of_position(key_of(TRADER) | id), (uint256(stands_at) << 128) | uint128(int128(held)));
    }

    /// The markets that the trader is in; he owes nothing yet and has no tokens.
    function bitmap(uint256 bits) internal {
        vm.assume(header(TRADER) >> 255 == 0);
        write(slot_of(TRADER), (header(TRADER) & ~uint256(2 ** 129 - 1)) | bits);
    }

    // ---------------------------------------------------------------- storage, see modules/slots.vy

    function word(uint256 slot) internal view returns (uint256) {
        return uint256(vm.load(address(clearinghouse), bytes32(slot)));
    }

    function write(uint256 slot, uint256 value) internal {
        vm.store(address(clearinghouse), bytes32(slot), bytes32(value));
    }

    function header(address account) internal view returns (uint256) {
        return word(slot_of(account));
    }

    function slot_of(address account) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(Code.HEADERS, account)));
    }

    function slot_of_position(uint256 key) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(Code.POSITIONS, key)));
    }

    function position(uint256 key) internal view returns (uint256) {
        return word(slot_of_position(key));
    }

    function key_of(address account) internal pure returns (uint256) {
        return uint256(uint160(account)) << 96;
    }

    function cash(address account) internal view returns (int256) {
        return int256(header(account)) >> 136;
    }

    function basis(address account) internal view returns (int256) {
        return int256(position(key_of(account))) >> 128;
    }

    function size(address account) internal view returns (int256) {
        return int256(position(key_of(account)) << 128) >> 128;
    }

    function skew() internal view returns (int256) {
        return int256(word(MARKET + 2) << 160) >> 160;
    }

    function funding_index() internal view returns (int256) {
        return int256(word(MARKET + 3)) >> 160;
    }

    function im_ppm() internal view returns (uint256) {
        return (word(MARKET) >> 212) & (2 ** 20 - 1);
    }

    function scale() internal view returns (uint256) {
        return uint96(word(MARKET + 1));
    }

    function min_price() internal view returns (uint256) {
        unchecked {
            return ((word(MARKET + 1) >> 140) & (2 ** 24 - 1)) * 10 ** ((word(MARKET + 1) >> 188) & 31);
        }
    }

    function max_price() internal view returns (uint256) {
        unchecked {
            return ((word(MARKET + 1) >> 164) & (2 ** 24 - 1)) * 10 ** ((word(MARKET + 1) >> 188) & 31);
        }
    }

    function reward() internal view returns (uint256) {
        return ((word(MARKET + 1) >> 193) & (2 ** 22 - 1)) * 1e16;
    }
}

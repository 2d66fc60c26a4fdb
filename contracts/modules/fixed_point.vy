# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title fixed_point
@license AGPL-3.0-only
@notice Integer arithmetic with a named rounding direction, and the one way to refuse.
@dev `unsafe_*` stands only where the widths of the operands (slots.vy) rule an overflow out; the products of
     each module are bounded in SPEC.md, "Why nothing overflows".
     Vyper's `//` truncates toward zero, so a signed quotient must say which way it goes:
     account deltas take `floor_div`, costs, fees and requirements take a ceiling.
     Nothing here reads or writes storage.
"""

WAD: constant(uint256) = 10**18
SWAD: constant(int256) = 10**18
PPM: constant(uint256) = 10**6


@internal
@pure
def fail(reason: bytes32):
    """
    @notice Revert with a reason of reasons.vy, as `raise` does with its text.
    """
    text: uint256 = convert(reason, uint256)
    size: uint256 = 32
    for i: uint256 in range(32):
        if text >> 248 != 0:
            break
        text = text << 8
        size = unsafe_sub(size, 1)
    raw_revert(abi_encode(convert(32, uint256), size, text, method_id=method_id("Error(string)")))


@internal
@pure
def floor_div(x: int256, y: int256) -> int256:
    """
    @notice `x / y` rounded toward minus infinity. Needs y > 0, and then cannot overflow.
    """
    q: int256 = unsafe_div(x, y)
    return unsafe_sub(q, convert(unsafe_mul(q, y) > x, int256))


@internal
@pure
def ceil_div(x: uint256, y: uint256) -> uint256:
    """
    @notice `x / y` rounded up. Needs y > 0 and x + y < 2**256.
    """
    return unsafe_div(unsafe_sub(unsafe_add(x, y), 1), y)


@internal
@pure
def magnitude(x: int256) -> uint256:
    """
    @notice |x|. `convert(abs(x), uint256)` is three times the code; hot paths write this line out.
    """
    return convert(convert(max(x, unsafe_sub(0, x)), bytes32), uint256)

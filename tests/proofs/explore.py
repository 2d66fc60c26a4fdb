"""halmos, which knows besides that a product with a condition is a choice.

Vyper's min and max are ``y ^ ((x ^ y) * (x > y))``. halmos keeps every product of two unknowns opaque while it
walks, so without this it cannot tell that a minimum is no greater than either, and walks on both sides of
branches of which one is impossible. Both rewritings are identities of bit vectors.

``python explore.py`` and halmos's own arguments
"""

from __future__ import annotations

import sys
from typing import Any

from halmos import __main__ as program
from halmos.bitvec import HalmosBitVec
from z3 import Z3_OP_BXOR, Z3_OP_ITE, BitVecVal, BoolRef, ExprRef, If, eq, is_app_of, is_bv_value

plain_mul = HalmosBitVec.mul
plain_xor = HalmosBitVec.bitwise_xor


def choice(word: HalmosBitVec) -> tuple[BoolRef, ExprRef] | None:
    """(condition, what the word is then), of a word that is otherwise 0."""
    if word.is_concrete:
        return None
    term = word.as_z3()
    if not is_app_of(term, Z3_OP_ITE) or not is_bv_value(term.arg(2)):
        return None
    return (term.arg(0), term.arg(1)) if term.arg(2).as_long() == 0 else None


def mul(self: HalmosBitVec, other: HalmosBitVec, *, abstraction: Any = None) -> HalmosBitVec:
    """c ? 1 : 0, times x, is c ? x : 0."""
    for one, two in ((self, other), (other, self)):
        found = choice(one)
        if found and is_bv_value(found[1]) and found[1].as_long() == 1:
            size = one.size
            return HalmosBitVec(If(found[0], two.as_z3(), BitVecVal(0, size)), size=size)
    return plain_mul(self, other, abstraction=abstraction)


def xor(self: HalmosBitVec, other: HalmosBitVec) -> HalmosBitVec:
    """y ^ (c ? x ^ y : 0) is c ? x : y."""
    for one, two in ((self, other), (other, self)):
        found = choice(one)
        if found and is_app_of(found[1], Z3_OP_BXOR) and found[1].num_args() == 2:
            y = two.as_z3()
            for x, z in (found[1].children(), found[1].children()[::-1]):
                if eq(z, y):
                    return HalmosBitVec(If(found[0], x, y), size=one.size)
    return plain_xor(self, other)


HalmosBitVec.mul = mul
HalmosBitVec.bitwise_xor = xor

if __name__ == "__main__":
    sys.exit(program.main())

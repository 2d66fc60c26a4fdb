"""A solver's command line for halmos: yices, bit by bit.

halmos asks first with products and quotients of two unknowns left opaque, which is enough where they only
have to be the same before and after, and again with what they mean if that was not enough.

``python solve.py QUERY.smt2``
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

YICES = ["yices-smt2", "--smt2-model-format", "--bvconst-in-decimal"]
# An opaque product must know 0 and 1: Vyper's min and max multiply by a condition.
OPAQUE = re.compile(
    r"\(declare-fun f_evm_bvmul_256 \(\(_ BitVec 256\) \(_ BitVec 256\)\) \(_ BitVec 256\)\)"
)
KNOWING = """(declare-fun f_evm_bvmul_256_opaque ((_ BitVec 256) (_ BitVec 256)) (_ BitVec 256))
(define-fun f_evm_bvmul_256 ((x (_ BitVec 256)) (y (_ BitVec 256))) (_ BitVec 256)
  (ite (or (= x (_ bv0 256)) (= y (_ bv0 256))) (_ bv0 256)
  (ite (= x (_ bv1 256)) y (ite (= y (_ bv1 256)) x (f_evm_bvmul_256_opaque x y)))))"""


def main(query: Path) -> None:
    """Print what halmos reads: sat with a model, unsat, or unknown."""
    taught = query.with_suffix(".taught")
    taught.write_text(OPAQUE.sub(KNOWING, query.read_text()))
    done = subprocess.run([*YICES, str(taught)], capture_output=True, text=True, check=False)
    print(done.stdout if done.stdout.startswith(("sat", "unsat")) else "unknown")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

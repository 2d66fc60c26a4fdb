"""A solver's command line for halmos: yices and cvc5 side by side, the first answer counts.

halmos asks first with products and quotients left opaque, which is enough where they only have to be
the same before and after, and again with what they mean if that was not enough. yices, bit by bit, is
quick at the first kind and finds counterexamples; cvc5, over the integers, at inequalities of products.

``python solve.py QUERY.smt2``
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
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
    """Print what halmos reads: sat with a model, unsat, or nothing."""
    text = query.read_text()
    taught = OPAQUE.sub(KNOWING, text)
    file = query.with_suffix(".taught")
    file.write_text(taught)
    commands = [[*YICES, str(file)]]
    if "declare-fun f_evm_bv" not in taught:
        commands.append([sys.executable, __file__, "--integers", str(file)])
    running = [
        subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for c in commands
    ]
    while running:
        for process in list(running):
            if process.poll() is None:
                continue
            running.remove(process)
            out = process.stdout.read() if process.stdout else ""
            if out.startswith(("sat", "unsat")):
                for other in running:
                    other.kill()
                print(out)
                return
        time.sleep(0.01)
    print("unknown")


def integers(file: str) -> None:
    """cvc5, with every bit vector taken as an integer."""
    import cvc5

    solver = cvc5.Solver()
    solver.setOption("solve-bv-as-int", "iand")
    solver.setOption("produce-models", "true")
    parser = cvc5.InputParser(solver)
    text = Path(file).read_text().replace("QF_AUFBV", "ALL")
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, file)
    while not (command := parser.nextCommand()).isNull():
        print(command.invoke(solver, parser.getSymbolManager()), end="", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--integers":
        integers(sys.argv[2])
    else:
        main(Path(sys.argv[1]))

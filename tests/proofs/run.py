"""Symbolic proofs over the compiled Clearinghouse, and the mutants that they must refute.

halmos runs the bytecode with every storage slot a free symbol. Each proof of the table comes with an
edit of the Vyper source that breaks what it claims: compiled from a copy, it must give a counterexample,
or the proof says less than it seems to.

``python tests/proofs/run.py --help``; ``make prove`` installs what it needs under ``.cache/prove``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from plimsoll.fuzz.artifacts import CONTRACTS
from plimsoll.slots import (
    LOT,
    WAD,
    Position,
    StateA,
    StateB,
    Terms,
    pack_position,
    pack_state_a,
    pack_state_b,
    pack_terms,
)

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "prove"
VENV = CACHE / "venv" / "bin"
NODE = CACHE / "node"
SOLVER_TIMEOUT = 120  # [s] a question; a mutant's is not proven by silence
OUTCOMES = {0: "holds", 1: "counterexample", 2: "not decided", 3: "stuck", 4: "always reverts"}


@dataclass(frozen=True)
class Mutant:
    """`old` stands once in `file`; with `new` in its place the claim is false in every shape."""

    what: str
    file: str
    old: str
    new: str
    shapes: str = ""  # but for those whose names do not begin so


@dataclass(frozen=True)
class Proof:
    """The functions of one beginning in a Solidity contract beside this file, one a shape of the step."""

    claim: str
    contract: str
    function: str
    mutants: tuple[Mutant, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.contract}.{self.function}"


PROOFS = (
    Proof(
        "a withdrawal leaves the initial margin",
        "Margin",
        "check_withdrawal",
        (
            Mutant(
                "unrealised profit counts",
                "Clearinghouse.vy",
                "collateral.value(account, header).initial, 0)",
                "collateral.value(account, header).initial, PPM)",
                "check_withdrawal_at",
            ),
            Mutant(
                "a leg without a price does not matter",
                "Clearinghouse.vy",
                "    if total.dead:\n        fixed_point.fail(reasons.MARGIN_DEAD_LEG)\n",
                "",
                "check_withdrawal_without",
            ),
        ),
    ),
    Proof(
        "no liquidation right after a trade",
        "Margin",
        "check_trade",
        (
            Mutant(
                "asks for no margin, only for no debt",
                "Clearinghouse.vy",
                "if unsafe_add(opening, convert(tokens, int256)) < convert(total.initial, int256):",
                "if unsafe_add(opening, convert(tokens, int256)) < 0:",
            ),
            Mutant(
                "asks for the margin of before",
                "Clearinghouse.vy",
                "self._check_margin(total, cash_after,",
                "self._check_margin(before, cash_after,",
                "check_trade_opens",
            ),
        ),
    ),
    Proof(
        "a trade keeps the books",
        "Books",
        "check_trade",
        (
            Mutant(
                "the pool's part of a fee is rounded for itself",
                "Clearinghouse.vy",
                "convert(unsafe_sub(fee, to_insurance), int256)",
                "convert(unsafe_mul(fee, PPM - INSURANCE_SHARE_PPM) // PPM, int256)",
            ),
            Mutant(
                "the skew moves by the new size",
                "Clearinghouse.vy",
                "f.skew = unsafe_add(leg.skew, delta)",
                "f.skew = unsafe_add(leg.skew, f.size)",
                "check_trade_crosses",
            ),
        ),
    ),
    Proof(
        "a liquidation that pays its fee keeps the books",
        "Books",
        "check_liquidation_pays",
        (
            Mutant(
                "the fund has the keeper's part too",
                "Clearinghouse.vy",
                "unsafe_add(fund, unsafe_sub(split.charged, split.reward))",
                "unsafe_add(fund, split.charged)",
            ),
        ),
    ),
    Proof(
        "a liquidation that is topped up keeps the books",
        "Books",
        "check_liquidation_topped_up",
        (
            Mutant(
                "a topped-up reward is nobody's loss",
                "Clearinghouse.vy",
                "        insurance = unsafe_sub(insurance, top_up)\n",
                "",
                "check_liquidation_topped_up_by",
            ),
            Mutant(
                "bad debt is nobody's loss",
                "Clearinghouse.vy",
                "            absorbed = unsafe_add(absorbed, from_pool)\n",
                "",
                "check_liquidation_topped_up_no_more",
            ),
        ),
    ),
)

# What a mutant is tried on: one market, one price, one position.
PLAIN = Terms(
    feed="0x" + "00" * 20,  # the feed's address is put in by the proofs
    max_age=5_400,
    min_price=WAD,
    max_price=200_000 * WAD,
    skew_scale=200_000 * WAD,
    max_skew=2_000 * WAD,
    max_open_interest=2_800 * WAD,
    im_ppm=50_000,
    mm_ppm=25_000,
    liquidation_fee_ppm=10_000,
    reward=5 * WAD,
    taker_fee_ppm=500,
    spread_ppm=1_000,
    otc_band_ppm=20_000,
    max_velocity_ppm=500_000,
    max_rate_ppm=10_000,
)
PRICE = 2_003 * WAD + 70_000_000_000_000_003
FUNDING_INDEX = 12_340_000_000_000_000_011
FUNDING_RATE = -WAD // 300
SKEW = 7 * WAD
POSITION = Position(size=5 * WAD, basis=9_000 * WAD)


# ------------------------------------------------------------------ tools


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command; its output is shown if it fails, and the program ends."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )
    if done.returncode:
        tail = (done.stdout + done.stderr)[-2_000:]
        sys.exit(f"{tail}\nFailed: {' '.join(str(part) for part in command)}")
    return done


def install() -> None:
    """halmos and its solvers, forge and solc, hash-checked, into ``.cache/prove``."""
    if tuple(sys.version_info[:2]) < (3, 11):
        sys.exit("make prove needs Python 3.11 or 3.12 in .venv: halmos has no older one.")
    if not shutil.which("npm") or not shutil.which("node"):
        sys.exit(
            "make prove needs node and npm (Debian, Ubuntu: nodejs and npm) for forge and solc."
        )
    shutil.rmtree(CACHE, ignore_errors=True)
    NODE.mkdir(parents=True)
    print("Installing halmos, yices, forge and solc (needs the network once) ...")
    run(sys.executable, "-m", "venv", CACHE / "venv")
    pip = ("-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input")
    run(VENV / "python", *pip, "--require-hashes", "-r", HERE / "requirements.txt")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, NODE)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=NODE)


def environment() -> dict[str, str]:
    """halmos looks for forge and yices by name, forge for the compiler."""
    path = os.pathsep.join([str(VENV), str(NODE / "node_modules" / ".bin"), os.environ["PATH"]])
    solc = {"FOUNDRY_SOLC": str(HERE / "solc.js"), "PROVE_NODE": str(NODE)}
    return os.environ | solc | {"PATH": path}


# ------------------------------------------------------------------ subjects


def prepare(folder: Path, mutant: Mutant | None) -> Path:
    """A forge project with the proofs and the contract that they are about."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "src").mkdir(parents=True)
    root = CONTRACTS
    if mutant:
        root = folder / "contracts"
        shutil.copytree(CONTRACTS, root)
        source = root / mutant.file
        text = source.read_text()
        if text.count(mutant.old) != 1:
            sys.exit(
                f"{mutant.file} has {text.count(mutant.old)} of {mutant.old!r}; see {__file__}"
            )
        source.write_text(text.replace(mutant.old, mutant.new))
    for proof in HERE.glob("*.sol"):
        shutil.copy(proof, folder / "src")
    shutil.copy(HERE / "foundry.toml", folder)
    (folder / "src" / "Code.sol").write_text(code_of(root, mutant is not None))
    return folder


def code_of(root: Path, mutant: bool) -> str:
    """The compiled Clearinghouse and where it keeps what, as a Solidity library."""
    command = (sys.executable, "-m", "vyper.cli.vyper_compile", "-f", "bytecode,layout")
    done = run(*command, "-p", root, root / "Clearinghouse.vy")
    bytecode, layout = done.stdout.strip().splitlines()
    storage = json.loads(layout)["storage_layout"]
    ledger, markets = storage["ledger"], storage["markets"]
    t0, t1, _ = pack_terms(PLAIN, feed_decimals=18)
    numbers = {
        "HEADERS": ledger["_headers"]["slot"],
        "BACKINGS": ledger["_backings"]["slot"],
        "DEBTS": ledger["_debts"]["slot"],
        "CREDIT": ledger["_credit"]["slot"],
        "POSITIONS": ledger["_positions"]["slot"],
        "CUSTODY": ledger["_custody"]["slot"],
        "MARKETS": markets["_markets"]["slot"],
        "BOOK": markets["_book"]["slot"],
        "PLAIN_B": pack_state_b(StateB(FUNDING_INDEX, FUNDING_RATE)),
        "PLAIN_T1": t1,
        "PLAIN_A": pack_state_a(StateA(SKEW // LOT, PRICE, SKEW)),
        "PLAIN_POSITION": pack_position(POSITION),
    }
    lines = [f"uint256 constant {name} = {value};" for name, value in numbers.items()]
    lines += [
        f"uint96 constant PLAIN_T0 = {t0 >> 160};",
        f"int256 constant PLAIN_PRICE = {PRICE};",
        f"int256 constant PLAIN_INDEX = {FUNDING_INDEX};",
        f"bool constant MUTANT = {str(mutant).lower()};",
        f'bytes constant CLEARINGHOUSE = hex"{bytecode.removeprefix("0x")}";',
    ]
    body = "\n    ".join(lines)
    return f"pragma solidity ^0.8.30;\n\nlibrary Code {{\n    {body}\n}}\n"


@dataclass(frozen=True)
class Result:
    """What halmos said of one function, or of several together."""

    outcome: str
    seconds: float
    paths: int


def prove(proof: Proof, mutant: Mutant | None = None, limit: float = 0) -> Result:
    """Run one proof, on the contract as it is or on a mutant, in a folder of its own."""
    name = proof.name.rstrip("_")
    if mutant:
        name += f"-{proof.mutants.index(mutant) + 1}"
    folder = prepare(CACHE / "work" / name, mutant)
    out = folder / "result.json"
    functions = (mutant and mutant.shapes) or proof.function
    command = [
        *(VENV / "python", HERE / "explore.py", "--root", folder, "--contract", proof.contract),
        *("--function", functions, "--json-output", out, "--no-status", "--loop", "130"),
        *("--storage-layout", "generic", "--solver-timeout-branching", "20ms"),
        *("--solver-timeout-assertion", f"{SOLVER_TIMEOUT}s", "--solver-threads", "1"),
        *("--solver-command", f"{VENV / 'python'} {HERE / 'solve.py'}"),
        *(["--early-exit"] if mutant else []),
    ]
    begin = time.monotonic()
    with subprocess.Popen(
        [str(part) for part in command],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # its solvers end with it
    ) as process:
        try:
            log, _ = process.communicate(timeout=limit or None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return Result("not decided in time", time.monotonic() - begin, 0)
    seconds = time.monotonic() - begin
    (folder / "log.txt").write_text(log)
    if not out.exists():
        return Result(f"no answer, see {folder / 'log.txt'}", seconds, 0)
    found = [r for results in json.loads(out.read_text())["test_results"].values() for r in results]
    if not found:
        return Result(f"nothing ran, see {folder / 'log.txt'}", seconds, 0)
    codes = {r["exitcode"] for r in found}
    outcome = OUTCOMES.get(max(codes), f"failed, see {folder / 'log.txt'}")
    if mutant and len(codes) > 1:
        outcome = "not refuted in every shape"
    if outcome == "holds" and any(r["num_bounded_loops"] for r in found):
        outcome = "holds up to a loop's bound only"
    return Result(outcome, seconds, sum(r["num_paths"][0] for r in found))


# ------------------------------------------------------------------ the table


def main() -> None:
    """Prove everything; the exit code is 1 if a proof fails or a mutant is not refuted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--install", action="store_true", help="install the tools and end")
    parser.add_argument("--only", default="", metavar="TEXT", help="proofs whose name has TEXT")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (2)")
    parser.add_argument(
        "--limit", type=float, default=0, metavar="SECONDS", help="for each; 0: none"
    )
    options = parser.parse_args()
    if options.install:
        install()
        return
    if not (VENV / "halmos").exists() or not (NODE / "node_modules" / "solc").exists():
        sys.exit(f"The tools are not in {CACHE}: run make prove.")

    chosen = [proof for proof in PROOFS if options.only in proof.name]
    tasks: list[tuple[Proof, Mutant | None]] = [
        (proof, mutant) for proof in chosen for mutant in (None, *proof.mutants)
    ]
    table = Table("proof", "of", "result", "seconds", "paths", title="make prove")
    good = bool(tasks)
    with ThreadPoolExecutor(max(options.jobs, 1)) as pool:
        running = [pool.submit(prove, *task, options.limit) for task in tasks]
        for (proof, mutant), future in zip(tasks, running, strict=True):
            result = future.result()
            expected = "counterexample" if mutant else "holds"
            good = good and result.outcome == expected
            if mutant and result.outcome == expected:
                result = replace(result, outcome="refuted")
            subject = f"mutant: {mutant.what}" if mutant else proof.claim
            print(f"{proof.name}: {subject}: {result.outcome}, {result.seconds:.0f} s", flush=True)
            row = (f"{result.seconds:.0f}", str(result.paths))
            table.add_row("" if mutant else proof.name, subject, result.outcome, *row)
    Console().print(table)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()

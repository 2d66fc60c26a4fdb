"""What a contract is made of, as the cache of compiled contracts has it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from vyper.compiler.input_bundle import FilesystemInputBundle
from vyper.compiler.phases import CompilerData

from plimsoll.fuzz.artifacts import CONTRACTS, fingerprint, parts

SOURCES = sorted(
    str(path.relative_to(CONTRACTS))
    for path in CONTRACTS.rglob("*.vy")
    if path.parent.name != "modules"
)


@pytest.mark.parametrize("path", SOURCES)
def test_parts__each_contract__are_what_the_compiler_read(path):
    places = [Path(place) for place in sys.path if place and Path(place).is_dir()]
    bundle = FilesystemInputBundle([*places, CONTRACTS])
    data = CompilerData(bundle.load_file(Path(path)), input_bundle=bundle)
    read = {Path(source.resolved_path) for source in data.resolved_imports.compiler_inputs}
    ours = {str(one.relative_to(CONTRACTS)) for one in read if CONTRACTS in one.parents}
    assert parts(path) == {one for one in ours if one.endswith(".vy")} | {path}


def test_fingerprint__edit_of_a_part__changes_it_and_an_edit_elsewhere_does_not(tmp_path):
    root = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, root)
    before = {path: fingerprint(root, path) for path in ("LiquidityPool.vy", "Configurator.vy")}
    assert before == {path: fingerprint(CONTRACTS, path) for path in before}
    module = root / "modules" / "share_token.vy"
    module.write_text(module.read_text() + "# more\n")
    assert fingerprint(root, "LiquidityPool.vy") != before["LiquidityPool.vy"]
    assert fingerprint(root, "Configurator.vy") == before["Configurator.vy"]
    interface = root / "interfaces" / "ILens.vyi"
    interface.write_text(interface.read_text() + "# more\n")
    assert fingerprint(root, "Configurator.vy") != before["Configurator.vy"]

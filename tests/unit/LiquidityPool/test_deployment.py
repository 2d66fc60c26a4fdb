"""The constructor, the fixed answers, and the standards that the pool claims to speak."""

import ape
import pytest
from eth_utils.abi import function_signature_to_4byte_selector as selector

from tests.unit.LiquidityPool.conftest import COOLDOWN, DAY, HOUR, NOWHERE

ERC_20 = [
    "totalSupply()",
    "balanceOf(address)",
    "transfer(address,uint256)",
    "allowance(address,address)",
    "approve(address,uint256)",
    "transferFrom(address,address,uint256)",
    "name()",
    "symbol()",
    "decimals()",
]
ERC_2612 = [
    "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
    "nonces(address)",
    "DOMAIN_SEPARATOR()",
    "eip712Domain()",
]
ERC_4626 = [
    "asset()",
    "totalAssets()",
    "convertToShares(uint256)",
    "convertToAssets(uint256)",
    "maxDeposit(address)",
    "previewDeposit(uint256)",
    "deposit(uint256,address)",
    "maxMint(address)",
    "previewMint(uint256)",
    "mint(uint256,address)",
    "maxWithdraw(address)",
    "previewWithdraw(uint256)",
    "withdraw(uint256,address,address)",
    "maxRedeem(address)",
    "previewRedeem(uint256)",
    "redeem(uint256,address,address)",
]
ERC_5143 = [
    "deposit(uint256,address,uint256)",
    "mint(uint256,address,uint256)",
    "withdraw(uint256,address,address,uint256)",
    "redeem(uint256,address,address,uint256)",
]
OPERATORS = ["setOperator(address,bool)", "isOperator(address,address)"]
REDEEM = [
    "requestRedeem(uint256,address,address)",
    "pendingRedeemRequest(uint256,address)",
    "claimableRedeemRequest(uint256,address)",
]
OURS = [
    "cancelRequest(address,address)",
    "request_of(address)",
    "valuation()",
    "report(address)",
    "reported_loss(address)",
    "reported_losses()",
    "doubtful()",
    "refresh()",
    "clearinghouse()",
    "cooldown()",
    "share()",
    "supportsInterface(bytes4)",
]


def interface_id(signatures):
    """ERC-165: the exclusive or of the selectors."""
    folded = 0
    for signature in signatures:
        folded ^= int.from_bytes(selector(signature), "big")
    return folded.to_bytes(4, "big")


# ------------------------------------------------------------------ the constructor


def test_init__good_arguments__keeps_them_and_asks_the_clearinghouse_nothing(
    project, deployer, stranger
):
    token = deployer.deploy(project.TokenMock, "Quote", "Q", 8)
    pool = deployer.deploy(project.LiquidityPool, stranger, token, "A pool", "AP", HOUR)
    assert pool.clearinghouse() == stranger
    assert (pool.asset(), pool.share()) == (token, pool)
    assert (pool.name(), pool.symbol(), pool.decimals()) == ("A pool", "AP", 14)
    assert (pool.cooldown(), pool.totalSupply()) == (HOUR, 0)


def test_init__longest_names__fit(project, deployer, stranger):
    token = deployer.deploy(project.TokenMock, "Quote", "Q", 6)
    pool = deployer.deploy(project.LiquidityPool, stranger, token, "n" * 32, "s" * 16, 30 * DAY)
    assert (pool.name(), pool.symbol()) == ("n" * 32, "s" * 16)


def test_init__no_clearinghouse__reverts(project, deployer):
    token = deployer.deploy(project.TokenMock, "Quote", "Q", 6)
    with ape.reverts("pool: no clearinghouse"):
        deployer.deploy(project.LiquidityPool, NOWHERE, token, "A pool", "AP", DAY)


@pytest.mark.parametrize(
    ("cooldown", "fits"), [(HOUR - 1, False), (HOUR, True), (30 * DAY, True), (30 * DAY + 1, False)]
)
def test_init__cooldown__an_hour_to_thirty_days(project, deployer, stranger, cooldown, fits):
    token = deployer.deploy(project.TokenMock, "Quote", "Q", 6)
    arguments = (project.LiquidityPool, stranger, token, "A pool", "AP", cooldown)
    if fits:
        assert deployer.deploy(*arguments).cooldown() == cooldown
    else:
        with ape.reverts("pool: cooldown out of range"):
            deployer.deploy(*arguments)


@pytest.mark.parametrize("decimals", [0, 18, 19])
def test_init__decimals__up_to_eighteen(project, deployer, stranger, decimals):
    token = deployer.deploy(project.TokenMock, "Quote", "Q", decimals)
    arguments = (project.LiquidityPool, stranger, token, "A pool", "AP", DAY)
    if decimals <= 18:
        assert deployer.deploy(*arguments).decimals() == decimals + 6
    else:
        with ape.reverts("pool: over 18 decimals"):
            deployer.deploy(*arguments)


# ------------------------------------------------------------------ standards


def test_abi__speaks_its_standards_and_nothing_else(project):
    spoken = {method.selector for method in project.LiquidityPool.contract_type.methods}
    assert spoken == {*ERC_20, *ERC_2612, *ERC_4626, *ERC_5143, *OPERATORS, *REDEEM, *OURS}


def test_abi__nothing_takes_ether(project):
    assert not [m.name for m in project.LiquidityPool.contract_type.methods if m.is_payable]


@pytest.mark.parametrize(
    "signatures",
    [["supportsInterface(bytes4)"], OPERATORS, REDEEM, [*ERC_4626, "share()"]],
    ids=["ERC-165", "ERC-7540 operators", "ERC-7540 redeem", "ERC-7575"],
)
def test_supports_interface__what_it_speaks__yes(stage, signatures):
    assert stage.pool.supportsInterface(interface_id(signatures))


@pytest.mark.parametrize("wrong", ["0xffffffff", "0xce3bbe50", "0x00000000"])
def test_supports_interface__nonsense_and_asynchronous_deposits__no(stage, wrong):
    assert not stage.pool.supportsInterface(wrong)


def test_previews_of_exits__always__revert(stage):
    for preview in (stage.pool.previewRedeem, stage.pool.previewWithdraw):
        with ape.reverts("pool: redemption is by request"):
            preview(1)


def test_cooldown__of_the_deployment(stage):
    assert stage.pool.cooldown() == COOLDOWN
    assert stage.pool.clearinghouse() == stage.clearinghouse

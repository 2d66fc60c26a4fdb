"""The rules for terms: of a market (MGN-3), of its ramps (MGN-10), of collateral, of credit.

What breaks one is refused with the Configurator's reason, in its order. Units are those of
`plimsoll.formulas`.
"""

from __future__ import annotations

from plimsoll import slots
from plimsoll.formulas import DAY, PPM, ceil_div, floor_div, require
from plimsoll.slots import WAD, CollateralTerms, CreditTerms, Ramp, Terms

MAX_TOKENS = 16
STEP = 3_600  # [s] of a ramp, in one call at most
MIN_PRICE = 10**6  # [WAD quote/base]
MAX_DEPTH = 2**106  # [WAD quote] a market's skew scale at its greatest price


def check_terms(terms: Terms, open_interest: int, keeper_share_ppm: int) -> None:
    """The rules that keep a market safe, for `open_interest` [WAD base] at most (MGN-3)."""
    t = terms
    for rule, reason in (
        (0 < t.max_age < 2**20, "max_age"),
        (t.min_price >= MIN_PRICE, "min_price"),
        (t.min_price < t.max_price, "price bounds"),
        (t.max_price < 2**96, "max_price"),
        (0 < t.skew_scale < 2**96, "skew_scale"),
        (t.max_skew <= t.max_open_interest, "max_skew"),
        (open_interest <= t.skew_scale // 5, "max_open_interest"),
        (t.skew_scale * t.max_price // WAD < MAX_DEPTH, "depth"),
        (t.taker_fee_ppm <= 20_000, "taker_fee"),
        (t.spread_ppm <= 50_000, "spread"),
        (t.liquidation_fee_ppm <= 100_000, "liquidation_fee"),
        (t.reward <= 1_000 * WAD and t.reward % slots.REWARD_UNIT == 0, "reward"),
        (t.max_velocity_ppm < 2**24, "max_velocity"),
        (t.im_ppm <= PPM, "im above 1"),
        # Being liquidated costs 1.25 times what closing does, after the keeper's share.
        (
            4 * t.liquidation_fee_ppm * (PPM - keeper_share_ppm)
            >= 5 * (t.taker_fee_ppm + t.spread_ppm) * PPM,
            "fee below closing",
        ),
        # One side liquidated against the other still pays its fee.
        (
            t.skew_scale > 0
            and t.mm_ppm >= t.liquidation_fee_ppm + ceil_div(open_interest * PPM, t.skew_scale),
            "mm too low",
        ),
        (2 * t.im_ppm >= 3 * t.mm_ppm, "im below 1.5 mm"),
        (t.otc_band_ppm < t.mm_ppm, "otc_band"),
        (t.max_rate_ppm <= min(t.mm_ppm, 500_000), "max_rate"),
    ):
        require(rule, f"configurator: {reason}")


def check_step(old: Terms, target: Terms, open_interest: int, duration: int) -> None:
    """To who holds all of one side, no step of a ramp is worth going in and out (MGN-10)."""
    least, greatest = sorted((old.skew_scale, target.skew_scale))
    step = ceil_div((greatest - least) * STEP, duration)
    crowd = max(old.max_open_interest, open_interest)
    fee_ppm = min(old.taker_fee_ppm, target.taker_fee_ppm)
    # crowd / 2 * (1 / least - 1 / (least + step)) <= 2 * fee
    require(
        crowd * step * PPM <= 4 * fee_ppm * least * (least + step),
        "configurator: skew_scale step",
    )


def ramped(terms: Terms, ramp: Ramp, open_interest: int) -> Terms:
    """Terms at some progress of their ramp, before its end.

    Requirements are rounded down, so as never to be above the line; but by up to 2 ppm, where
    MGN-3 asks for it. What does not ramp stays as in `terms`.
    """

    def on_the_line(name: str, up: bool = False) -> int:
        a, b = getattr(ramp, name), getattr(ramp.target, name)
        divide = ceil_div if up else floor_div
        return divide(a * (ramp.duration - ramp.progress) + b * ramp.progress, ramp.duration)

    fee = on_the_line("liquidation_fee_ppm")
    scale = on_the_line("skew_scale", up=True)
    most = max(terms.max_open_interest, open_interest)
    mm_ppm = max(on_the_line("mm_ppm"), fee + ceil_div(most * PPM, scale))
    return terms._replace(
        liquidation_fee_ppm=fee,
        skew_scale=scale,
        reward=on_the_line("reward") // slots.REWARD_UNIT * slots.REWARD_UNIT,
        mm_ppm=mm_ppm,
        im_ppm=max(on_the_line("im_ppm"), ceil_div(3 * mm_ppm, 2)),
    )


def check_collateral(
    terms: CollateralTerms, decimals: int, fee_ppm: int, before_ppm: int = 0
) -> None:
    """The rules that keep a collateral token safe (MGN-3).

    Args:
        terms: of the token.
        decimals: of the token.
        fee_ppm: on seizures.
        before_ppm: the maintenance weight in effect, from which it comes down.
    """
    t = terms
    whole = t.cap * 10 ** max(18 - decimals, 0)
    for rule, reason in (
        (0 < t.max_age < 2**20, "max_age"),
        (t.min_price >= MIN_PRICE, "min_price"),
        (t.min_price < t.max_price, "price bounds"),
        (t.max_price < 2**96, "max_price"),
        (t.maintenance_weight_ppm <= PPM, "weight above 1"),
        (t.initial_weight_ppm <= t.maintenance_weight_ppm, "initial weight"),
        (0 < t.scale < 2**96, "scale"),
        (t.discount_ppm <= 300_000, "discount"),
        (t.premium_ppm <= 300_000, "premium"),
        (600 <= t.duration <= 7 * DAY, "duration"),
        (
            has_haircut(max(slots.weights_of(t)[0], before_ppm), t.discount_ppm, fee_ppm),
            "haircut",
        ),
        (decimals <= 18, "token decimals"),
        (whole < 2**96 and whole * t.max_price // WAD < 2**100, "cap"),
    ):
        require(rule, f"configurator: {reason}")


def has_haircut(weight_ppm: int, discount_ppm: int, fee_ppm: int) -> bool:
    """Whether a seizure never leaves an account worth less than before."""
    return PPM - weight_ppm >= discount_ppm + fee_ppm


def check_credit(terms: CreditTerms, tokens: list[tuple[int, int]]) -> None:
    """The rules for debt and seizures.

    Args:
        terms: of credit.
        tokens: maintenance weight in effect and discount of each token [ppm]: haircuts must do.
    """
    t = terms
    for rule, reason in (
        (t.debt_cap < 2**96, "debt_cap"),
        (t.debt_ratio_ppm <= PPM, "debt_ratio"),
        (t.kink_ppm <= PPM, "kink"),
        (max(t.low_slope_ppm, t.high_slope_ppm) <= 10 * PPM, "slope"),
        (PPM <= t.call_line_ppm <= 3 * PPM, "call_line"),
        (t.conversion_bound < 2**32, "conversion_bound"),
        (t.liquidation_fee_ppm <= 100_000, "liquidation_fee"),
    ):
        require(rule, f"configurator: {reason}")
    for i in range(MAX_TOKENS):
        fresh = t.order[i] < MAX_TOKENS and t.order[i] not in t.order[:i]
        require(fresh, "configurator: order")
        if i < len(tokens):
            require(has_haircut(*tokens[i], t.liquidation_fee_ppm), "configurator: haircut")

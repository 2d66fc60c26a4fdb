# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Puppet
@license AGPL-3.0-only
@notice A Clearinghouse, a Configurator and an auction that say whatever they are told. For tests of the pool only.
"""


struct Settings:
    quote: address
    unit: uint256
    pool: address
    configurator: address
    auction: address
    keeper_share_ppm: uint256
    insurance_share_ppm: uint256
    profit_weight_ppm: uint256
    max_pool_leverage_ppm: uint256
    top_up_per_block: uint256
    backstop: address
    sequencer: address
    stable_speed_ppm: uint256
    outflow_ppm: uint256
    outflow_floor: uint256


struct Globals:
    custody: uint256
    book: uint256
    topped_up: uint256
    share: uint256
    least_held: uint256


struct Leg:
    id: uint256
    t0: uint256
    t1: uint256
    size: int256
    basis: int256
    price: uint256
    status: uint256
    index: int256
    rate: int256
    surge_ppm: uint256
    skew: int256
    lots: uint256
    last_price: uint256
    state_b: uint256


interface Token:
    def transfer(to: address, amount: uint256) -> bool: nonpayable
    def transferFrom(owner: address, to: address, amount: uint256) -> bool: nonpayable


market_count: public(uint256)
cash: public(int256)  # [WAD quote] of every account
nav: public(int256)  # [WAD quote] as told by the pool
owed_to_pool: public(uint256)  # [WAD quote] by lots
live_lots: uint256  # [WAD quote] of that, what live ones bring
_credit: uint256[5]
_legs: HashMap[uint256, Leg]
_custody: uint256
_book: uint256
_max_leverage_ppm: uint256


@external
def say(cash: int256, custody: uint256, book: uint256, max_leverage_ppm: uint256):
    self.cash = cash
    self._custody = custody
    self._book = book
    self._max_leverage_ppm = max_leverage_ppm


@external
def say_owed(by_lots: uint256, live: uint256, debts: uint256, index: uint256, scaled: uint256):
    self.owed_to_pool = by_lots
    self.live_lots = live
    self._credit = [debts, 0, 0, index, scaled]


@external
def say_leg(id: uint256, t0: uint256, t1: uint256, price: uint256, status: uint256, index: int256, skew: int256):
    self._legs[id].t0 = t0
    self._legs[id].t1 = t1
    self._legs[id].price = price
    self._legs[id].status = status
    self._legs[id].index = index
    self._legs[id].skew = skew
    self.market_count = max(self.market_count, id + 1)


@external
@view
def worth() -> (uint256, uint256, uint256, uint256):
    return (self.live_lots, 0, self.live_lots, 0)


@external
@view
def header(account: address) -> uint256:
    if account == self:  # the insurance fund has nothing
        return 0
    return convert(convert(self.cash, bytes32), uint256) << 136


@external
@view
def leg(account: address, market: uint256) -> Leg:
    return self._legs[market]


@external
@view
def credit() -> uint256[5]:
    return self._credit


@external
@view
def settings() -> Settings:
    told: Settings = empty(Settings)
    told.configurator = self
    told.auction = self
    told.max_pool_leverage_ppm = self._max_leverage_ppm
    return told


@external
@view
def globals() -> Globals:
    return Globals(custody=self._custody, book=self._book, topped_up=0, share=0, least_held=0)


@external
def set_nav(nav: int256):
    self.nav = nav


@external
def deposit(account: address, token: address, amount: uint256) -> uint256:
    assert extcall Token(token).transferFrom(msg.sender, self, amount)
    return amount


@external
def withdraw(account: address, token: address, amount: uint256, receiver: address):
    assert amount <= self._custody, "margin: not enough cash"
    assert extcall Token(token).transfer(receiver, amount)


@external
@view
def is_calm() -> bool:
    return True

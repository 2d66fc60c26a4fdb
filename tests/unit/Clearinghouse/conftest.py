"""The shared deployment."""

from tests.utils.fixtures import (  # noqa: F401
    attacker,
    built,
    built_fine,
    built_loose,
    fine,
    house,
    keeper,
    loose,
    maker,
    reef,
    still,
    stranger,
    system,
    tide,
    trader,
    victim,
)

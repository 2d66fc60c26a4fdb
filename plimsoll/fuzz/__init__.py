"""A differential fuzzer: seeded operation lists, run on the contracts and the model at once."""

"""A differential fuzzer: seeded operation lists, run on the contracts and the model at once.

- chain, revm, py_evm, ape_provider: engines that deploy, call, decode, keep time, snapshot
- artifacts, system: a deployment twice, as contracts and as the model
- ops: draws deployments and operations from a seed
- properties: what must hold whatever the model says; add yours
- run, shrink, corpus: play lists, compare everything, cut failures down, keep them
- campaign: very many operations on all cores (`make fuzz`)
- fixtures: pytest fixtures for tests of your own
- mutants, coverage: how much of the contracts all that would notice
"""

"""Plimsoll in Python: the reference model, the packed words, and the tools around the contracts."""

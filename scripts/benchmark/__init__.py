"""The parts of bench.py: the load, the relay under it, and each scenario."""

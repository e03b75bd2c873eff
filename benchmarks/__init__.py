"""Reproducible measurements, with reference rows: ``python -m benchmarks --help``."""

"""Benchmarks of fastbp: the asv suite (`bench.suite`), and scripts to be run as ``python -m bench.peers`` and so on."""

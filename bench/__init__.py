"""The benchmarks: `make bench`, or `python -m bench NAME`. What they measured: RESULTS.md."""

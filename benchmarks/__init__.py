"""Commands that measure the figures of the docs: `python -m benchmarks.NAME`.

A benchmark measures, and gives its figures to `record.figures()`, which writes a file of results/.
Their targets are in targets.py; kept.py stores results that take hours. A function in pages/ makes
each table of these files: `TABLES` of pages/__main__.py names it, and a page of docs/ marks its
place. `make bench-NAME` runs the benchmark, then the pages.
"""

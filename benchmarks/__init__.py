"""Commands that measure the figures of the docs: `python -m benchmarks.NAME`.

A benchmark measures, and gives its figures to `record.figures()`, which writes a file of results/;
targets.py says what they have to reach, and kept.py keeps what takes hours. It makes no table: that
is a function in pages/, named in `TABLES` of pages/__main__.py, and a page of docs/ has its marks.
`make bench-NAME` runs the benchmark, and the pages after it.
"""

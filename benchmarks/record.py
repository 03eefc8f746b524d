"""Where the benchmarks leave what README.md and docs/ state: JSON files, and tables in pages."""

import json
import os
import pathlib
import re
import time

ROOT = pathlib.Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks" / "results"


def figures(name, values):
    """Writes figures into a JSON file of benchmarks/results/, beside those of other commands."""
    path = FOLDER / name
    known = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(known | values, indent=2, default=float) + "\n")
    print(f"Written: {path}")


def cell(path, compute):
    """What `compute()` returns, a dict for JSON; or, if that file is there, what it once returned.

    So a benchmark of hours goes on where it was stopped.
    """
    if not path.exists():
        print(path.stem, flush=True)
        start = time.perf_counter()
        text = json.dumps(compute(), default=float)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(text)
        os.replace(part, path)  # whole or not at all
        print(f"    in {time.perf_counter() - start:.0f} s", flush=True)
    return json.loads(path.read_text())


def table(header, rows):
    """A table in Markdown, numbers to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def page(path, parts):
    """Puts texts between the marks `<!-- name -->` and `<!-- end -->` of a page."""
    text = path.read_text()
    for name, part in parts.items():
        marked = re.compile(f"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not marked.search(text):
            raise ValueError(
                f"{path} has no part {name!r} between <!-- {name} --> and <!-- end -->"
            )
        text = marked.sub(lambda match, part=part: match[1] + part + "\n" + match[2], text)
    path.write_text(text)
    print(f"Written: {path}")

"""Where the benchmarks leave what README.md and docs/ state: JSON files, and tables in pages."""

import json
import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks" / "results"


def figures(name, values):
    """Writes figures into a JSON file of benchmarks/results/, beside those of other commands."""
    path = FOLDER / name
    known = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(known | values, indent=2, default=float) + "\n")
    print(f"Written: {path}")


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

"""The figures that README.md and docs/ state: JSON files in benchmarks/results/."""

import json
import pathlib

FOLDER = pathlib.Path(__file__).parent / "results"


def write(name, figures):
    """Writes figures into a file, beside those of other commands."""
    path = FOLDER / name
    known = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(known | figures, indent=2, default=float) + "\n")
    print(f"Written: {path}")

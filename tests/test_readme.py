"""The README states the figures of benchmarks/results/backbone.json."""

import json
import pathlib

ROOT = pathlib.Path(__file__).parent.parent


def test_figures():
    figures = json.loads((ROOT / "benchmarks" / "results" / "backbone.json").read_text())
    stated = " ".join((ROOT / "README.md").read_text().split())
    for text in (
        f"{figures['f1_int8_mean']:.3f}",
        f"{figures['f1_loss_max']:.3f}",
        f"{figures['agreement_min']:.1f} %",
        f"{figures['tflite_bytes']:,} bytes",
        f"{figures['arena_bytes']:,} bytes",
        f"{figures['step_ratio_gru']:.2f} of",
    ):
        assert text in stated, text

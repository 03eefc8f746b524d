"""The README and the docs state the figures of benchmarks/results/."""

import json
import pathlib

from benchmarks import record

ROOT = pathlib.Path(__file__).parent.parent


def test_figures():
    figures = json.loads((ROOT / "benchmarks" / "results" / "backbone.json").read_text())
    stated = " ".join((ROOT / "README.md").read_text().split())
    for text in (
        f"{figures['f1_int8_mean']:.3f}",
        f"{figures['f1_loss_max']:.4f}",
        f"{figures['agreement_min']:.1f} %",
        f"{figures['tflite_bytes']:,} bytes",
        f"{figures['arena_bytes']:,} bytes",
        f"{figures['step_ratio_gru']:.2f} of",
    ):
        assert text in stated, text


def test_microcontrollers():
    figures = record.read(record.FOLDER / "microcontrollers.json")
    firmware = (ROOT / "docs" / "tflm.md").read_text()
    for name in ("text_bytes", "arena_bytes", "instructions"):
        assert f"{figures[f'tflm_m4_{name}']:,}" in firmware, name
    assert figures["tflm_commit"] in firmware
    pruning = (ROOT / "docs" / "prune.md").read_text()
    for name in ("half", "half_blocks"):
        for unit in ("instructions", "bytes"):
            assert f"{figures[f'm4_{name}_{unit}']:,.0f}" in pruning, name
    dense = figures["m4_instructions_per_mac"] * 13200
    assert f"{dense:,.0f} dense" in pruning
    readme = (ROOT / "README.md").read_text()
    for name in (
        "avr_cycles_per_step",
        "avr_flash_bytes",
        "avr_ram_bytes",
    ):
        assert f"{figures[name]:,.0f}" in readme, name

"""The tables of training.json."""

import numpy as np

from benchmarks.pages.markdown import spread, table


def adding(section):
    """How often and how well each layer solves the adding problem."""
    rows = []
    for name, layer in section["layers"].items():
        runs = layer["runs"]
        errors, steps = ([run[key] for run in runs] for key in ("test_mse", "steps"))
        solved = f"{layer['solved']} of {len(runs)}"
        mse = f"{np.median(errors):.4f}", f"{max(errors):.4f}"
        rows.append([name, runs[0]["parameters"], solved, *mse, f"{min(steps)} to {max(steps)}"])
    header = ["layer", "weights", "solved", "MSE, median", "worst", "training steps"]
    return table(header, rows)


def bounded_windows(bounded):
    """Macro-F1 on windows that each start from a state of 0."""
    columns = {"float": "f1_float", "int8": "f1_int8", "int8, people for testing": "f1_test_int8"}
    return _variants(bounded, {header: (key, 3) for header, key in columns.items()})


def bounded_stream(bounded):
    """The state, and macro-F1, in a stream that is never reset."""
    columns = {
        "largest in windows": ("largest_in_windows", 1),
        "in the stream": ("largest_in_stream", 1),
        "steps clipped, %": ("clipped_percent", 1),
        "F1 float": ("f1_stream_float", 3),
        "F1 int8": ("f1_stream_int8", 3),
    }
    return _variants(bounded, columns)


def _variants(bounded, columns):
    rows = [
        [name, *(spread([run[key] for run in runs], digits) for key, digits in columns.values())]
        for name, runs in bounded["variants"].items()
    ]
    return table(["", *columns], rows)


def quantization_aware(qat):
    """The scores of each seed: float, int8, and int8 after quantisation-aware training."""
    rows = [
        [
            s["seed"],
            *(f"{s[name]:.4f}" for name in ("f1_float", "f1_int8", "f1_int8_after_qat")),
            f"{s['agreement_int8_float']:.2f} %",
            f"{s['agreement_int8_training_graph']:.2f} %",
        ]
        for s in qat["seeds"]
    ]
    more = [s["f1_int8_after_qat"] - s["f1_float"] for s in qat["seeds"]]
    header = "seed", "F1 float", "int8", "int8 after QAT", "int8 as float", "QAT as training graph"
    return (
        f"{table(list(header), rows)}\n\nMacro-F1 after it, less that of the float model: "
        f"{np.mean(more):+.4f} in the mean, from {min(more):+.4f} to {max(more):+.4f}."
    )


def step_times(speed, units, jit_compile):
    """The training step and the prediction of each layer at one shape."""
    (layers,) = (
        entry["layers"]
        for entry in speed["shapes"]
        if (entry["units"], entry["jit_compile"]) == (units, jit_compile)
    )
    columns = {
        "ms a step": ("step_ms", 1),
        "to GRU's": ("step_ratio", 2),
        "ms a prediction": ("predict_ms", 1),
        "to GRU's ": ("predict_ratio", 2),
    }
    rows = [
        [name, *(f"{row[key]:.{digits}f}" for key, digits in columns.values())]
        for name, row in layers.items()
    ]
    return table(["layer", *map(str.strip, columns)], rows)

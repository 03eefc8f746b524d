import base64
import dataclasses
import html
import io
import re
import sys

import keras
import matplotlib.image
import numpy as np
import pytest
import topologies
from absl import flags as absl_flags
from absl.testing import flagsaver
from keras import layers
from pages import assert_self_contained, on_a_phone, table

from keras_fastgrnn import FastGRNN
from keras_fastgrnn.export import __main__, quantization_aware
from keras_fastgrnn.export.converter import conversion
from keras_fastgrnn.export.report import findings as report
from keras_fastgrnn.export.report.findings import examine, layer_ranges, worst
from keras_fastgrnn.export.report.html import page
from keras_fastgrnn.export.report.text import text as as_text
from keras_fastgrnn.micro import Interpreter

SECTIONS = [
    "m.tflite: {} bytes",
    "Ranges and values",
    "Bytes by part",
    "Sparsity",
    "Float against integer",
    "Worst samples",
]


def examined(model, arrays, **kwargs):
    return examine(
        conversion(
            model,
            representative_dataset=arrays[0] if len(arrays) == 1 else [arrays],
            **kwargs,
        )
    )


@pytest.fixture(scope="module")
def example():
    """Findings, page and model of the HAPT example's size; half of the recurrent weights are 0."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [layers.Input((128, 6)), FastGRNN(16, recurrent_rank=8, name="r"), layers.Dense(12)]
    )
    topologies.randomize(model)
    for weight in model.layers[0].trainable_weights:
        if weight.name.startswith("recurrent_kernel"):
            value = weight.numpy()
            weight.assign(np.where(np.abs(value) > np.median(np.abs(value)), value, 0))
        elif weight.name == "kernel":
            weight.assign(np.where(np.abs(weight) < 0.1, 0.1, weight))
    findings = examined(model, topologies.samples(model, 40))
    return findings, page(findings, "m.tflite"), model


def headings(text, level):
    return [html.unescape(h) for h in re.findall(f"<h{level}>(.*?)</h{level}>", text)]


def captions(text):
    return [html.unescape(c) for c in re.findall("<figcaption>(.*?)</figcaption>", text)]


def test_sections(example):
    findings, text, _ = example
    first, *others = SECTIONS
    assert headings(text, 1) == [first.format(f"{len(findings.conversion.model):,}")]
    assert headings(text, 2) == others
    assert headings(text, 3)[:3] == ["Inputs and outputs", "r", "FULLY_CONNECTED"]
    assert '<html lang="en">' in text
    assert "<title>m.tflite: conversion</title>" in text
    # Its output, three matrices, the Dense, two outputs, and the input and output of 4 samples.
    # Every chart has a label.
    assert len(captions(text)) == 4 + 1 + 1 + 3 + 2 + 2 * 4
    labels = re.findall(r'<svg role="img" aria-label="(.*?)"', text)
    assert [html.unescape(label) for label in labels] == captions(text)


def test_numbers_are_those_of_the_conversion(example):
    findings, text, _ = example
    result = findings.conversion
    (operator,) = result.operators
    cell = operator.integer_cell

    _, *parts, (_, _, in_all, _) = table(text, "part")
    assert sum(int(size) for _, _, size, _ in parts) == int(in_all) == len(result.model)
    lines = as_text(findings)
    for name, _, size, _ in parts:
        assert f"{size:>5}  {name}" in lines

    matrices = [cell.kernel[0], *cell.recurrent_kernel]
    nonzero = [np.count_nonzero(matrix.values) for matrix in matrices]
    kept = f"{sum(nonzero) / sum(m.values.size for m in matrices):.1%}"
    assert table(text, "layer")[1] == ["r", "FastGRNN", "16", kept, "full, 8", "6"]
    for name, matrix, n in zip(
        ("kernel, 16 x 6", "recurrent_kernel_a, 8 x 16", "recurrent_kernel, 16 x 8"),
        matrices,
        nonzero,
        strict=True,
    ):
        assert f"r: {name}, {n / matrix.values.size:.1%} nonzero" in captions(text)

    errors = {row[0]: row for row in table(text, "error at")[1:]}
    assert list(errors) == ["r", "output 0"]
    for at in findings.compared:
        name, largest, _, _, rms, float_rms = errors[at.name]
        (line,) = (line for line in lines[-2:] if line.startswith(name))
        assert line.split()[-3:] == [rms, largest, float_rms]
        assert f"{name}: rms error {rms}" in captions(text)


def test_patterns(example):
    """The images show each zero and each nonzero weight, also of a matrix without zeros."""
    findings, text, _ = example
    sparsity = text[text.index("<h2>Sparsity") : text.index("<h2>Float")]
    images = re.findall('data:image/png;base64,([^"]*)', sparsity)
    matrices = list(findings.layers[0].weights.values())
    assert any((values != 0).all() for values in matrices)
    for image, values in zip(images, matrices, strict=True):
        pixels = matplotlib.image.imread(io.BytesIO(base64.b64decode(image)))
        np.testing.assert_array_equal(pixels[..., 3] > 0, values != 0)


def test_ranges_are_those_of_the_formats(example):
    findings, text, _ = example
    (operator,) = findings.conversion.operators
    formats = operator.formats
    ranges = {r.name: r for r in layer_ranges(findings.layers[0])}
    assert list(ranges) == ["reads", "recurrent_kernel_a", "state", "writes"]
    for name, values, affine in (
        ("reads", operator.x, formats.input),
        ("writes", operator.y, formats.output),
    ):
        got, limits = ranges[name], affine.dequantize(np.array([-128, 127]))
        assert (got.low, got.high) == (values.min(), values.max())
        assert (got.least, got.most) == tuple(limits)
        assert got.saturated == 0
    # The output's multiplier, 15 bits, is the ratio of the state's scale to the output's.
    of_state = ranges["state"].most / 32767
    multiplier = of_state / formats.output.scale * 2.0**formats.output_shift
    assert round(multiplier) == formats.output_multiplier
    # The rounding changes the float state by far less than a tenth.
    largest = max(-ranges["state"].low, ranges["state"].high)
    assert largest == pytest.approx(operator.ranges.state, rel=0.1)
    row = next(row for row in table(text[text.index("<h3>r<") :], "tensor") if row[0] == "state")
    state = ranges["state"]
    assert row[3:7] == [f"{v:.4g}" for v in (state.low, state.high, state.least, state.most)]


def test_saturated_values_are_red(example):
    """The integers are of other samples than the format: one value in 240 saturates."""
    findings, _, model = example
    x = np.zeros((1, 40, 6), np.float32)
    x[0, 7, 2] = 1000
    layer = findings.layers[0]
    operator = vars(layer.operator) | {"x": x}
    wide = layer._replace(operator=type(layer.operator)(**operator))
    reads = next(layer_ranges(wide))
    assert (reads.high, reads.saturated) == (1000, 1 / 240)
    changed = dataclasses.replace(findings, layers=[wide])
    text = page(changed, "m.tflite")
    row = next(row for row in table(text[text.index("<h3>r<") :], "tensor") if row[0] == "reads")
    assert row[-1] == "0.42%"
    assert text.count("background:#d33") == 1


def test_features_that_int8_does_not_tell_apart():
    model = topologies.randomize(topologies.last_state())
    (x,) = topologies.samples(model, 30)
    findings = examined(model, [x * np.float32([1, 1e-3, 1])])
    text = page(findings, "m.tflite")
    (message,) = findings.warnings
    assert f'<p style="color:#d33">{html.escape(message)}</p>' in text
    assert "in TensorFlow Lite Micro" in text
    rows = table(text, "feature")[1:]
    assert [(row[0], row[-1]) for row in rows] == [("0", ""), ("1", "too few"), ("2", "")]


def test_worst_samples_are_those_of_the_interpreter():
    """Without a Dense, TensorFlow Lite Micro gives the integers of the report."""
    model = topologies.randomize(topologies.last_state())
    (x,) = topologies.samples(model, 60)
    findings = examined(model, [x])
    got = Interpreter(findings.conversion.model).predict(x)
    errors = np.abs(got - findings.conversion.outputs[0]).max(axis=1)
    expected = np.argsort(-errors)[:4]
    rows = table(page(findings, "m.tflite"), "sample")[1:]
    assert [int(sample) for sample, _ in rows] == expected.tolist()
    # float32, that the interpreter gives, has 7 digits.
    np.testing.assert_allclose([float(e) for _, e in rows], errors[expected], rtol=1e-3)


def test_stream_is_shown_around_its_worst_steps():
    model = topologies.randomize(topologies.dense_on_each_step())
    findings = examined(model, topologies.samples(model, 50), streaming=True)
    assert findings.stream
    steps = worst(findings, 4, 100)
    assert len(steps) > 1
    assert steps[0] == findings.outputs[0].by_sample.argmax()
    assert all(b - a > 100 for a, b in zip(sorted(steps), sorted(steps)[1:], strict=False))
    text = page(findings, "m.tflite")
    assert headings(text, 2)[-1] == "Worst steps"
    assert f"step {steps[0]}: input 0, 3 channels" in captions(text)
    assert any(c.startswith(f"step {steps[0]}: output 0, channel ") for c in captions(text))


def aware():
    model = topologies.randomize(topologies.low_rank())
    return quantization_aware(model, representative_dataset=topologies.samples(model, 20)[0])


def one_number():
    x = layers.Input((12, 3))
    return keras.Model(x, layers.Reshape(())(layers.Dense(1)(FastGRNN(4)(x))))


def not_recurrent():
    return keras.Sequential([layers.Input((5,)), layers.Dense(3)])


@pytest.mark.parametrize(
    "build, n, inputs, outputs",
    [
        (topologies.two_inputs, 20, 2, 1),
        pytest.param(topologies.two_outputs, 20, 1, 2, marks=pytest.mark.test_all),
        (topologies.bidirectional_concat, 1, 1, 1),
        pytest.param(topologies.two_dimensional_front, 5, 1, 1, marks=pytest.mark.test_all),
        pytest.param(not_recurrent, 20, 1, 1, marks=pytest.mark.test_all),
        pytest.param(one_number, 20, 1, 1, marks=pytest.mark.test_all),
        pytest.param(aware, 20, 1, 1, marks=pytest.mark.test_all),
    ],
)
def test_any_model(build, n, inputs, outputs):
    model = build() if build is aware else topologies.randomize(build())
    findings = examined(model, topologies.samples(model, n))
    text = page(findings, "m.tflite")
    assert headings(text, 2) == SECTIONS[1:]
    tensors = [row[0] for row in table(text, "tensor")[1:]]
    assert [name.split(" (")[0] for name in tensors] == [
        *(f"input {i}" for i in range(inputs)),
        *(f"output {i}" for i in range(outputs)),
    ]
    errors = [row[0] for row in table(text, "error at")[1:]]
    names = [operator.recurrent.name for operator in findings.conversion.operators]
    assert errors == names + [f"output {i}" for i in range(outputs)]
    rows = table(text, "sample")
    assert len(rows) == 1 + min(n, 4)
    assert len(rows[0]) == 1 + outputs
    words = re.sub(r"base64,[^\"]*|dominant-baseline", "", text)
    assert "nan" not in words.lower()


def test_int16_activations():
    """The formats and steps are those of int16, in the page and in the text."""
    model = topologies.randomize(topologies.low_rank())
    findings = examined(model, topologies.samples(model, 20), activations="int16")
    text = page(findings, "m.tflite")
    assert {row[2] for row in table(text, "tensor")[1:]} == {"int16"}
    assert "spread in int16 steps" in text and "int8 steps" not in text
    assert any("spread in int16 steps" in line for line in as_text(findings))


def test_makes_no_requests(example):
    _, text, _ = example
    assert re.search(r'(?:src|href)\s*=\s*"data:image/png', text)
    assert_self_contained(text)


def test_size(example):
    _, text, _ = example
    assert len(text.encode()) < 1_000_000


def test_names_are_escaped():
    name = "<img src=x onerror=alert(1)>&$x$"
    model = keras.Sequential([layers.Input((12, 3)), FastGRNN(4, name=name)])
    text = page(examined(model, topologies.samples(model, 5)), "<i>'\".tflite")
    assert "<img" not in text and "<i>" not in text
    assert name in headings(text, 3)
    assert any(caption.startswith(f"{name}: kernel, 4 x 3") for caption in captions(text))
    assert table(text, "layer")[1][0] == name


# ---- The flag ----


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = topologies.randomize(topologies.head())
    model.save("model.keras")
    np.save("x.npy", topologies.samples(model, 20)[0])
    if not absl_flags.FLAGS.is_parsed():
        absl_flags.FLAGS(["command", "--model=", "--samples=", "--output="])
    flags = {"model": "model.keras", "samples": ["x.npy"], "output": "model.tflite"}
    with flagsaver.flagsaver(**flags):
        yield tmp_path


def test_flag_adds_a_file_and_runs_the_integers_once(folder, monkeypatch, capsys):
    runs = []
    run = report.integer_run
    monkeypatch.setattr(report, "integer_run", lambda result: runs.append(1) or run(result))
    __main__.main(["command"])
    text = capsys.readouterr().out
    with flagsaver.flagsaver(report="model.html"):
        __main__.main(["command"])
    assert capsys.readouterr().out == text
    assert len(runs) == 2  # once for each command
    size = (folder / "model.tflite").stat().st_size
    assert headings((folder / "model.html").read_text(), 1) == [f"model.tflite: {size:,} bytes"]


@pytest.mark.parametrize("name", ["missing/model.html", ".", "", "./model.tflite"])
def test_flag_refuses_before_it_converts(folder, name):
    before = sorted(folder.iterdir())
    with (
        flagsaver.flagsaver(report=name),
        pytest.raises(SystemExit, match=f"^--report={name} is [^:]*: (create|name)"),
    ):
        __main__.main(["command"])
    assert sorted(folder.iterdir()) == before


def test_flag_names_the_missing_package(folder, monkeypatch):
    # Without matplotlib none of its modules is there either.
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "keras_fastgrnn.export.report.html")
    before = sorted(folder.iterdir())
    with (
        flagsaver.flagsaver(report="model.html"),
        pytest.raises(SystemExit, match="^[^\n]*pip install matplotlib$"),
    ):
        __main__.main(["command"])
    assert sorted(folder.iterdir()) == before


# ---- In a browser ----


def test_fits_a_phone(example, tmp_path):
    _, text, _ = example
    measured = on_a_phone(text, tmp_path)
    assert measured["width"] <= 360
    assert measured["texts"] > 100
    assert measured["cut"] == []
    assert measured["console"] == []

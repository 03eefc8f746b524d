"""The report as one HTML page, without scripts or requests to the network."""

import html

import numpy as np
from matplotlib.colors import ListedColormap

from keras_fastgrnn.export.report import html_page
from keras_fastgrnn.export.report.findings import (
    end_ranges,
    layer_ranges,
    stream_limits,
    worst,
)
from keras_fastgrnn.export.report.html_page import BLUE, INK, ORANGE, bar, chart, charts, table
from keras_fastgrnn.export.report.resolution import ENOUGH_STEPS, input_places, worst_features

_POINTS = 3000  # of a scatter plot
_WORST, _WINDOW = 4, 100  # samples, and steps of a stream on either side of one
_LINES = 6  # most channels of an input that are lines; with more, an image
_NONZERO = ListedColormap(["none", BLUE])


def page(findings, name):
    """Returns the HTML page on the file `name` from its `Findings`."""
    what = "step" if findings.stream else "sample"
    sections = {
        f"{name}: {len(findings.conversion.model):,} bytes": _summary(findings, what),
        "Ranges and values": _ranges_and_values(findings),
        "Bytes by part": _bytes(findings),
        "Sparsity": _sparsity(findings),
        "Float against integer": _float_against_integer(findings),
        f"Worst {what}s": _worst_samples(findings, what),
    }
    return html_page.page(f"{name}: conversion", sections)


def _summary(findings, what):
    n = len(findings.conversion.inputs[0])
    yield f"<p>Float in Keras against the integers of the file, on {n:,} {what}s.</p>\n"
    yield f"<p>Outputs: in {html.escape(findings.measured_in)}. Layers: in the integer model.</p>\n"
    for message in findings.warnings:
        yield f'<p style="color:#d33">{html.escape(message)}</p>\n'
    for limit in stream_limits(findings):
        yield f"<p>{html.escape(limit)}.</p>\n"
    rows = []
    for layer in findings.layers:
        kind = units = ranks = features = None
        if layer.operator:
            cell = layer.operator.integer_cell
            kind = "FastRNN" if cell.recurrent_activation is None else "FastGRNN"
            units, features = cell.units, cell.features
            pair = cell.kernel, cell.recurrent_kernel
            ranks = ", ".join(str(len(m[0].values)) if len(m) == 2 else "full" for m in pair)
        rows.append((layer.name, kind, units, _nonzero(*layer.weights.values()), ranks, features))
    head = "layer", "kind", ">units", ">nonzero", ">ranks of W, U", ">features"
    yield table(head, rows)
    yield table(
        ("error at", ">largest", f">of {what}", ">in steps", ">rms", ">float rms"),
        (
            (at.name, at.largest, at.by_sample.argmax(), at.largest / at.affine.scale)
            + (at.rms, at.float_rms)
            for at in findings.compared
        ),
    )


def _ranges_and_values(findings):
    yield (
        "<p>Blue: the range of a tensor's values on the samples. Grey: the rest of its format; "
        "much grey wastes bits, often because of one outlier. Red: values that saturate.</p>\n"
    )
    yield "<h3>Inputs and outputs</h3>\n" + _ranges(end_ranges(findings))
    for place in input_places(findings.conversion):
        heading, features = worst_features(place)
        yield f"<p>{html.escape(heading)}. Fewer than {ENOUGH_STEPS:g} steps are too few.</p>\n"
        yield table(
            ("feature", ">least", ">most", f">spread in {place.affine.dtype} steps", ""),
            (
                (i, low, high, steps, "" if ok else "too few")
                for i, low, high, steps, ok in features
            ),
        )
    yield charts(_values(at.name, at) for at in findings.outputs)
    for layer in findings.layers:
        yield f"<h3>{html.escape(layer.name)}</h3>\n"
        drawn = [_weights(f"{layer.name}: {name}", w) for name, w in layer.weights.items()]
        if layer.operator:
            yield _ranges(layer_ranges(layer))
            drawn.insert(0, _values(f"{layer.name}: its output", layer.compared))
        yield charts(drawn)


def _bytes(findings):
    total = len(findings.conversion.model)
    rows = [
        (part, bar(f"{size} of {total}", (BLUE, 0, size / total)), size, f"{size / total:.1%}")
        for part, size in findings.parts.items()
    ]
    yield table(("part", "", ">bytes", ">share"), [*rows, ("in all", "", total, "100.0%")])


def _sparsity(findings):
    yield "<p>The nonzero weights of the recurrent layers: one row per output of a matrix.</p>\n"
    yield charts(
        chart(
            f"{layer.name}: {name}, {len(values)} x {values.shape[1]}, {_nonzero(values)} nonzero",
            lambda figure, v=values: _image(figure.subplots(), v != 0, _NONZERO, vmin=0, vmax=1),
        )
        for layer in findings.layers
        if layer.operator
        for name, values in layer.weights.items()
    )


def _float_against_integer(findings):
    def draw(figure, at):
        ax = figure.subplots()
        x, error = at.expected.ravel(), at.error.ravel()
        if x.size > _POINTS:  # the largest error is shown in any case
            chosen = np.random.default_rng(0).choice(x.size, _POINTS, replace=False)
            chosen = np.append(chosen, np.abs(error).argmax())
            x, error = x[chosen], error[chosen]
        ax.axline((x[0], x[0]), slope=1, color=INK, linewidth=0.6)
        ax.plot(x, x + error, ".", color=BLUE, markersize=3, rasterized=True)
        ax.set(xlabel="float", ylabel="integer")

    yield "<p>One point per value. The line is y = x.</p>\n"
    yield charts(
        chart(
            f"{at.name}: rms error {at.rms:.4g}", lambda figure, at=at: draw(figure, at), height=2.6
        )
        for at in findings.compared
    )


def _worst_samples(findings, what):
    found = worst(findings, _WORST, apart=_WINDOW)
    yield table(
        (what, *(f">error at {at.name}" for at in findings.outputs)),
        ((i, *(at.by_sample[i] for at in findings.outputs)) for i in found),
    )
    for i in found:
        start = max(0, i - _WINDOW) if findings.stream else 0

        def show(values, i=i, start=start):  # (steps, channels), or (units,)
            values = values[start : i + _WINDOW + 1] if findings.stream else values[i]
            return values.reshape(len(values), -1) if values.ndim > 1 else np.atleast_1d(values)

        drawn = [
            _input(f"{what} {i}: input {j}", start, show(x))
            for j, x in enumerate(findings.conversion.inputs)
            if show(x).ndim == 2
        ]
        drawn += [
            _output(f"{what} {i}: {at.name}", start, show(at.expected), show(at.error))
            for at in findings.outputs
        ]
        yield f"<h3>{what.capitalize()} {i}</h3>\n{charts(drawn)}"


def _nonzero(*weights):
    return f"{sum(map(np.count_nonzero, weights)) / sum(w.size for w in weights):.1%}"


def _ranges(ranges):
    rows = []
    for r in ranges:
        low, high = np.clip((r.low, r.high), r.least, r.most)
        start, width = min(r.low, r.least), max(r.high, r.most) - min(r.low, r.least)
        # Values beyond the format by less than half a step round to its limit.
        beyond = [] if r.saturated == 0 else [("#d33", r.low, low), ("#d33", high, r.high)]
        spans = [
            (color, (a - start) / width, (b - start) / width)
            for color, a, b in (("var(--soft)", r.least, r.most), *beyond, (BLUE, low, high))
            if b > a
        ]
        label = f"{r.low:.4g} to {r.high:.4g} of {r.least:.4g} to {r.most:.4g}"
        share = None if r.saturated is None else f"{r.saturated:.2%}"
        used = f"{(high - low) / (r.most - r.least):.0%}"
        rows.append((r.name, bar(label, *spans), r.type, r.low, r.high, r.least, r.most))
        rows[-1] += used, share
    head = "tensor", "", "type", ">least", ">most", ">covers from", ">to", ">used", ">saturates"
    return table(head, rows)


def _values(caption, at):
    def draw(figure):
        ax = figure.subplots()
        ax.hist(at.expected.ravel(), bins=60, histtype="stepfilled", color=BLUE, log=True)
        for limit in at.affine.limits:
            ax.axvline(limit, color=ORANGE, linestyle=":")
        ax.set(xlabel=f"value (dotted: {at.affine.dtype} limits)", ylabel="count", ylim=(0.8, None))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("")

    return chart(f"{caption}, {at.expected.size:,} values", draw)


def _weights(caption, values):
    nonzero = values[values != 0].astype(int)

    def draw(figure):
        ax = figure.subplots()
        ax.hist(nonzero, bins=np.arange(-128, 133, 4) - 0.5, histtype="stepfilled", color=BLUE)
        ax.set(xlim=(-132, 132), xlabel="int8 weight", ylabel="count")

    return chart(f"{caption}, {nonzero.size:,} nonzero of {values.size:,} weights", draw)


def _input(caption, start, values):
    def draw(figure):
        ax, (steps, channels) = figure.subplots(), values.shape
        if channels > _LINES:
            edges = (start - 0.5, start + steps - 0.5, channels - 0.5, -0.5)
            _image(ax, values.T, "viridis", aspect="auto", extent=edges)
        else:
            ax.plot(np.arange(start, start + steps), values, rasterized=values.size > 2000)
        ax.set(xlabel="step", ylabel="channel" if channels > _LINES else "")

    return chart(f"{caption}, {values.shape[1]} channels", draw, height=2.8)


def _output(caption, start, expected, error):
    """A vector, or the channels of a sequence with the largest errors."""
    float_line, integer_line, xlabel = "o", "x", "unit"
    if expected.ndim == 2:
        float_line, integer_line, xlabel = "-", "--", "step"
        channels = np.argsort(-np.abs(error).max(axis=0), kind="stable")[:3]
        caption += f", channel {', '.join(map(str, channels))} of {expected.shape[1]}"
        expected, error = expected[:, channels], error[:, channels]

    def draw(figure):
        values, errors = figure.subplots(2, sharex=True, height_ratios=(2, 1))
        x = np.arange(start, start + len(expected))
        long = expected.size > 2000
        lines = values.plot(x, expected, float_line, color=BLUE, rasterized=long)[:1]
        lines += values.plot(x, expected + error, integer_line, color=ORANGE, rasterized=long)[:1]
        values.legend(
            lines, ("float", "integer"), ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1)
        )
        errors.axhline(0, color=INK, linewidth=0.6)
        errors.plot(x, error, integer_line.replace("--", "-"), color=ORANGE, rasterized=long)
        errors.set(xlabel=xlabel, ylabel="error")
        errors.locator_params(axis="x", integer=True)
        errors.margins(y=0.2)

    return chart(caption, draw, height=2.8)


def _image(ax, values, colors, **kwargs):
    ax.imshow(values, cmap=colors, interpolation="none", **kwargs)
    ax.locator_params(integer=True, nbins=5)
    ax.spines[:].set_visible(True)

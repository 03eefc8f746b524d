"""The page and the tables of benchmarks/paper.py, of a report that needed no training."""

import html
import json
import re
import zlib

import numpy as np
import pytest
from pages import assert_self_contained, on_a_phone, table

from benchmarks import record
from benchmarks.pages import paper as paper_tables
from benchmarks.pages import paper_html as paper_page
from benchmarks.paper import __main__ as paper
from benchmarks.paper.tasks import TASKS, Split
from benchmarks.wake_word import __main__ as keywords
from examples.common.classifier import Data

HAPT, USPS, OWN = "HAPT-6 accelerometer", "USPS-10", "<script>alert(1)</script>"


def cell(name, *_):
    """Of the text of a model and its seed: what a training would have measured."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    kind, units = name.replace(",", "").split()[:2]
    weights = 20 * int(units) * {"GRU": 3, "LSTM": 4}.get(kind, 1) // (2 if "zero" in name else 1)
    best = {"FastGRNN": 0.94, "GRU": 0.945, "LSTM": 0.93, "FastRNN": 0.86, "SimpleRNN": 0.8}[kind]

    def form(size, tflite):
        validation, test = best - 0.5 / weights**0.5 + rng.normal(0, 0.007, 2)
        sizes = {"paper": weights * size, "constants": weights * size + 100, "tflite": tflite}
        return {"validation": validation, "test": test, "bytes": sizes, "nonzero": weights}

    values = {"float": form(4, 12000 + weights)}
    if kind == "LSTM":
        values["float"]["bytes"]["int8"] = weights + 16 * int(units)
    if kind not in ("FastGRNN", "FastRNN"):
        return values
    scalars = ("zeta", "nu") if kind == "FastGRNN" else ("alpha", "beta")
    return values | {
        **{form_name: form(1, 1000 + weights) for form_name in ("int8", "int8, QAT")},
        "seen": {
            "scalars": dict(zip(scalars, rng.uniform(0, 1, 2), strict=True)),
            "state": [-rng.uniform(1, 3), rng.uniform(1, 3)],
            "error": dict(zip(("layer", "logits"), rng.uniform(0.001, 0.02, 2), strict=True)),
        },
    }


def report_of(tasks, preset="full"):
    data = Data(np.zeros((2, 1, 1)), np.zeros(2))  # nothing is trained on it
    tasks = {
        name: task._replace(load=lambda _: Split(data, data, data)) for name, task in tasks.items()
    }
    results = {
        name: paper.train(task, paper.PRESETS[preset], None, cell, lambda _: None)
        for name, task in tasks.items()
    }
    return (
        {"tasks": results, "elsewhere": {}}
        | paper.headlines(results)
        | {
            "command": "make bench-paper",
            "preset": preset,
            "seeds": paper.PRESETS[preset].seeds,
            "versions": {"keras": "3.0"},
        }
    )


@pytest.fixture(scope="module")
def report():
    """Of one task a model for two budgets and none for a third, of one no GRU or LSTM that is as
    good, of one no model for any budget."""
    hapt, usps = TASKS[HAPT], TASKS[USPS]
    tasks = {
        HAPT: hapt._replace(budgets={"hapt6": 600, "twice": 610, "hapt6_small": 10}),
        USPS: usps._replace(budgets={"usps": 2048}),
        OWN: usps._replace(budgets={"own": 10}, published=(), differs=""),
    }
    made = report_of(tasks) | {"hapt6_f1_mean": 0.93, "hapt6_f1_std": 0.016}
    for task, key, *ratios in ((HAPT, "hapt6", 6.04, 1.9, 11.26), (USPS, "usps", None, None, 8.0)):
        budget = made["tasks"][task]["budgets"][key]
        budget["size_ratios"] = dict(zip(paper_tables.RATIOS, ratios, strict=True))
        budget["largest_ratios"] = dict(zip(paper_tables.RATIOS, (5.9, 4.6, 8.5), strict=True))
    # A spotter beside which the first two of the others are as good.
    accuracies = {"FastGRNN": 0.8, **dict.fromkeys(keywords.RNNS, 0.7)}
    accuracies |= dict.fromkeys(list(keywords.RNNS)[:2], 0.796)
    folds = {
        name: [
            {"float": at, "int8": at, "constants": {"weights": 4900, "biases": 100}, "tflite": 6000}
            for at in (of - 0.01, of + 0.01)
        ]
        for name, of in accuracies.items()
    }
    sizes = {
        name: {"constants": 125_000 - 5_000 * i, "tflite": 90_000, "int8": 30_000}
        for i, name in enumerate(keywords.RNNS)
    }
    made["elsewhere"] = {"Keyword spotter": keywords.as_task(folds, sizes)}
    return json.loads(json.dumps(made))


@pytest.fixture(scope="module")
def text(report):
    return paper_page.html_of(report)


def section(text, name):
    """Of a task."""
    return text.partition(f"<h2>{html.escape(name)}</h2>")[2].partition("<h2>")[0]


def test_trainings(report, text):
    _, *rows = table(text, "training")
    assert rows[0] == [HAPT, "45", "100", "0.02", "0.1", "0.01", "0.01", "–"]
    assert rows[1][:4] == [USPS, "15", "100", "0.02"]


def test_headlines(text):
    rows = {name: row for name, *row in table(text, "figure")[1:]}
    assert list(rows) == list(paper_page.TARGETS)
    assert rows["hapt6_f1_mean"] == ["✓ 0.93", ">= 0.925", "reached"]
    assert rows["hapt6_f1_std"] == ["✗ 0.016", "<= 0.015", "not reached"]
    assert rows["hapt6_small_bytes"] == ["–", "<= 400", "not measured"]
    reached = sum(row[-1] == "reached" for row in rows.values())
    assert f"<p>{reached} of 9 are reached.</p>" in text


def test_ratios_are_told_apart(text):
    head, first, _, none_fits, second, third, spotter = table(text, "times smaller than")
    assert head == ["times smaller than", "(a) float32", "(b) int8 LSTM", "(c) GRU's file"]
    assert first == [f"{HAPT}, 600 bytes", "✓ 6.0, asked 6", "✗ 1.9, asked 2", "11.3"]
    assert none_fits == [f"{HAPT}, 10 bytes", "–", "–", "–"]
    assert second == [f"{USPS}, 2,048 bytes", "> 5.9", "✓ > 4.6, asked 2", "8.0"]
    assert third == [f"{OWN}, 10 bytes", "–", "–", "–"]
    ratios = ["✓ 24.0, asked 20", "✓ 6.0, asked 2", "15.0"]
    assert spotter == ["Keyword spotter, 5,632 bytes", *ratios]
    assert table(section(text, HAPT), "times smaller than")[1][1:3] == [
        "✓ 6.0, asked 6",
        "✗ 1.9, asked 2",
    ]


def test_more_is_asked_of_keywords(report):
    ratios = {"float32": 19.0, "int8 LSTM": 2.0, "GRU file": 1.0}
    budget = {"limit": 5632, "size_ratios": ratios, "largest_ratios": ratios}
    keywords = {"Keywords-12": {"budgets": {"keywords": budget}}}
    _, row = table(paper_page._ratios(keywords), "times smaller than")
    assert row[1:] == ["✗ 19.0, asked 20", "✓ 2.0, asked 2", "1.0"]


@pytest.mark.parametrize("name", [HAPT, USPS, OWN])
def test_every_model_is_there(report, text, name):
    task = report["tasks"][name]
    shown = {(row[0], row[1]): row[2:] for row in table(section(text, name), "model")[1:]}
    for model, of in task["models"].items():
        for form, values in of["forms"].items():
            score, seeds, constants, chosen = (shown[model, form][i] for i in (0, 1, 3, 6))
            assert score == f"{100 * values['mean']:.2f} ± {100 * values['std']:.2f}"
            assert seeds == str(len(values["test"]))
            assert constants == f"{values['bytes']['constants']:,}"
            limits = [
                f"<= {budget['limit']:,}"
                for budget in task["budgets"].values()
                if (budget.get("model"), budget.get("form")) == (model, form)
            ]
            assert chosen == ", ".join(limits)
    # Of an int8 LSTM the bytes are known and nothing else.
    assert shown["LSTM 16" if name == HAPT else "LSTM 32", "int8, counted"][0] == "–"


def test_published_beside_ours(report, text):
    _, *rows = table(section(text, HAPT), "who")
    budget = report["tasks"][HAPT]["budgets"]["hapt6"]
    assert rows[0][:3] == ["emre1998/fastgrnn-har, mean of 5 seeds", "85.30", "566 bytes"]
    assert rows[2][:2] == [
        f"ours: {budget['model']}, {budget['form']}",
        paper_tables.percent(budget["final"]),
    ]
    assert len(rows[2][-1].split()) == 5
    assert rows[4][0] == "ours: none fits"


def test_what_was_measured_elsewhere(report, text):
    _, *rows = table(section(text, "Keyword spotter"), "model")
    assert [row[0] for row in rows] == ["FastGRNN", *keywords.RNNS]
    assert rows[0][1:] == ["int8", "80.00 ± 1.41", "5,000", "6,000", "79.0 81.0"]


def test_charts(text):
    for name in (HAPT, USPS, OWN):
        captions = re.findall("<figcaption>(.*?)</figcaption>", section(text, name))
        assert len(captions) == len(set(captions)) == 8


def test_nothing_is_asked_of_the_network(text):
    assert_self_contained(text)
    assert "nan" not in text.lower().replace("dominant-baseline", "")


def test_fits_a_phone(text, tmp_path):
    measured = on_a_phone(text, tmp_path)
    assert measured["width"] <= 360
    assert measured["texts"] > 500
    assert measured["cut"] == []
    assert measured["console"] == []


def test_says_that_it_is_a_trial(text):
    trial = report_of({HAPT: TASKS[HAPT]}, preset="small")
    assert "a trial, no result" in paper_page.html_of(trial)
    assert "a trial, no result" not in text


def test_main(report, text, tmp_path, monkeypatch):
    monkeypatch.setattr(record, "ROOT", tmp_path)
    monkeypatch.setattr(record, "FOLDER", tmp_path / "results")
    (tmp_path / "docs").mkdir()
    pages = tmp_path / "README.md", tmp_path / "docs" / "paper.md"
    for page, mark in zip(pages, ("paper", "tables"), strict=True):
        page.write_text(f"<!-- {mark} -->\n<!-- end -->\n")
    with pytest.raises(FileNotFoundError, match="^No paper.json in .*: make bench-paper"):
        paper_page.main(tmp_path / "results")

    # Elsewhere it writes the page alone.
    for folder in ("elsewhere", "results"):
        assert all(page.read_text().count("\n") == 2 for page in pages)
        record.write(tmp_path / folder / "paper.json", report)
        paper_page.main(tmp_path / folder)
        assert (tmp_path / folder / "paper.html").read_text() == text
    readme, docs = (page.read_text().splitlines() for page in pages)
    assert len(readme) == 2 + 2 + 6
    title = "HAPT-6 accelerometer, macro-F1, 600 bytes"
    assert readme[3].startswith(f"| {title} | emre1998/fastgrnn-har, mean")
    assert readme[3].endswith(" | 6.0 | 1.9 | 11.3 |")
    assert readme[7].count("| – ") == 5 and "| none fits |" in readme[7]
    assert readme[8].split(" | ")[2:4] == ["–", "80.00 ± 1.41; 5,000 bytes"]
    assert [line for line in docs if line.startswith("#")] == [
        f"### {n}" for n in (HAPT, USPS, OWN)
    ]


needs_record = pytest.mark.skipif(
    not (record.FOLDER / "paper.json").exists(),
    reason="make bench-paper has not written paper.json",
)


@needs_record
def test_page_states_the_record():
    """But for its charts, whose curves are another version of Matplotlib's to choose."""

    def without_charts(text):
        return re.sub("<svg.*?</svg>", "", text, flags=re.DOTALL)

    made = paper_page.html_of(record.read(record.FOLDER / "paper.json"))
    assert without_charts(made) == without_charts((record.FOLDER / "paper.html").read_text())


@needs_record
@pytest.mark.parametrize(
    "page, mark, make",
    [
        ("README.md", "paper", paper_tables.readme_table),
        ("docs/paper.md", "tables", paper_tables.task_tables),
    ],
)
def test_pages_state_the_record(page, mark, make):
    made = make(record.read(record.FOLDER / "paper.json"))
    assert f"<!-- {mark} -->\n{made}\n<!-- end -->" in (record.ROOT / page).read_text()

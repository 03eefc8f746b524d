"""The tables of the results in git, and of synthetic results."""

import json
import re
import zlib

import numpy as np
import pytest

from benchmarks import record
from benchmarks.pages import __main__ as pages
from benchmarks.pages import microcontrollers, paper
from benchmarks.paper import scores
from benchmarks.paper.measure import measure
from benchmarks.paper.plan import PRESETS
from benchmarks.paper.tasks import TASKS
from examples.common.classifier import Data, Split

HAPT, USPS, OWN = "HAPT-6 accelerometer", "USPS-10", "own"


def found(name, *_):
    """Synthetic results, from a model's text and its seed."""
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
    return values | {form_name: form(1, 1000 + weights) for form_name in ("int8", "int8, QAT")}


def report_of(tasks):
    data = Data(np.zeros((2, 1, 1)), np.zeros(2))  # no model is trained on it
    results = {
        name: measure(task, Split(data, data, data), {}, PRESETS["full"], found, lambda _: None)
        for name, task in tasks.items()
    }
    return {"tasks": results} | scores.headlines(results)


@pytest.fixture(scope="module")
def report():
    """The first task has a model for two budgets of three, the second no GRU or LSTM that is as
    good as ours, the third no model for its budget."""
    hapt, usps = TASKS[HAPT], TASKS[USPS]
    tasks = {
        HAPT: hapt._replace(budgets={"hapt6": 600, "twice": 610, "hapt6_small": 10}),
        USPS: usps._replace(budgets={"usps": 2048}),
        OWN: usps._replace(budgets={"own": 10}, published=()),
    }
    made = report_of(tasks)
    for task, key, *ratios in ((HAPT, "hapt6", 6.04, 1.9, 11.26), (USPS, "usps", None, None, 8.0)):
        budget = made["tasks"][task]["budgets"][key]
        budget["size_ratios"] = dict(zip(paper.RATIOS, ratios, strict=True))
        budget["largest_ratios"] = dict(zip(paper.RATIOS, (5.9, 4.6, 8.5), strict=True))
    return json.loads(json.dumps(made))


def rows(table):
    """The cells of a table in Markdown, without its head."""
    lines = [line.split("|")[1:-1] for line in table.splitlines()[2:]]
    return [[cell.strip() for cell in line] for line in lines]


def tables_of(report, name):
    """The rows of a task's two tables: published and ours, and the models."""
    _, _, text = paper.task_tables(report).partition(f"### {name}\n\n")
    return [rows(table) for table in text.split("\n\n")[:2]]


@pytest.mark.parametrize("name", [HAPT, USPS, OWN])
def test_models(report, name):
    task = report["tasks"][name]
    _, models = tables_of(report, name)
    shown = {(row[0], row[1]): row[2:] for row in models}
    for model in {*task["equal"], *task["stages"], *task["sweeps"]["units"]}:
        for form, values in task["models"][model]["forms"].items():
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
    # Only the bytes of an int8 LSTM are known.
    assert shown["LSTM 16" if name == HAPT else "LSTM 32", "int8, counted"][0] == "–"


def test_published_beside_ours(report):
    published, _ = tables_of(report, HAPT)
    budget = report["tasks"][HAPT]["budgets"]["hapt6"]
    assert published[0][:3] == ["emre1998/fastgrnn-har, mean of 5 seeds", "85.30", "566 bytes"]
    assert published[2][:2] == [
        f"ours: {budget['model']}, {budget['form']}",
        paper.percent(budget["final"]),
    ]
    assert len(published[2][-1].split()) == 5
    assert published[4][0] == "ours: none fits"


def test_picture(report, tmp_path):
    paper.picture(report, tmp_path / "paper.png")
    assert (tmp_path / "paper.png").read_bytes().startswith(b"\x89PNG")


def grid(chip, unit, scale, sizes):
    """Synthetic steps of a chip."""
    sizes = [(n, more) for n in sizes for more in ({}, {"density": 0.5, "encoding": "blocks"})]
    memory = {"kernel_bytes": 4000, "ram_bytes": 200, "stack_bytes": 100}
    return [
        {"target": chip, "units": n, "features": 32, "constant_bytes": 40 * n, unit: scale * n}
        | (memory | more)
        for n, more in sizes
    ]


@pytest.fixture
def chips():
    """Two chips alike, another, and one that counts cycles and holds fewer units."""
    sizes = 16, 32, 64
    of = {"M4": 100, "M7": 101, "M0": 300}
    rows = [row for chip, scale in of.items() for row in grid(chip, "instructions", scale, sizes)]
    return {"grid": [*rows, *grid("AVR", "cycles", 101, sizes[:2])]}


def test_choices(chips):
    *found, constants = rows(microcontrollers.choices(chips))
    assert found[0] == ["M4", "instructions", "1,600", "3,200", "6,400", "3,200", "4,000", "300"]
    assert found[3] == ["AVR", "cycles", "1,616", "3,232", "", "3,232", "4,000", "300"]
    assert constants[1:6] == ["bytes", "640", "1,280", "2,560", "1,280"]


def test_cost_picture(chips, tmp_path):
    """Chips that cost the same share a line; cycles and instructions never do."""
    instructions = microcontrollers.lines(chips, "instructions")
    assert [names for names, *_ in instructions] == [["M4", "M7"], ["M0"]]
    assert [names for names, *_ in microcontrollers.lines(chips, "cycles")] == [["AVR"]]
    microcontrollers.cost_picture(chips, tmp_path / "cost.png")
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")


def test_overview(report):
    cells = rows(paper.overview(report))
    assert len(cells) == 5
    title = "HAPT-6 accelerometer, macro-F1, 600 bytes"
    assert cells[0][0] == title and cells[0][1].startswith("emre1998/fastgrnn-har, mean")
    assert cells[0][-3:] == ["6.0", "1.9", "11.3"]
    assert cells[4].count("–") == 5 and "none fits" in cells[4]


@pytest.mark.parametrize(("less", "size"), [(0.0099, 400), (0.0101, 600)])
def test_front_has_the_smallest_model_that_is_as_good(less, size):
    """As good in validation: the test takes no part."""

    def model(kind, form, validation, constants):
        tested = scores.tested([{"test": 1 - validation, "bytes": {"constants": constants}}])
        return {"kind": kind, "forms": {form: tested | {"validation": validation}}}

    models = {kind: model(kind, "float", 0.9, 5000) for kind in ("GRU", "LSTM")}
    models["large"] = model("FastGRNN", "int8", 0.9, 600)
    models["small"] = model("FastGRNN", "int8", 0.9 - less, 400)
    chosen = {"form": "int8", "size_ratios": dict.fromkeys(paper.RATIOS, 2.0)}
    budgets = {
        "large": {"limit": 600, "model": "large"} | chosen,
        "small": {"limit": 400, "model": "small"} | chosen,
        "none": {"limit": 10},
    }
    task = {"score": "accuracy", "models": models, "budgets": budgets, "equal": ["GRU", "LSTM"]}
    ((_, ours, *_),) = rows(paper.front({"tasks": {"words": task}}))
    assert ours.endswith(f"; {size} bytes")


def test_each_table_has_a_place():
    found = [match[2] for page in pages.PAGES for match in pages.MARKED.finditer(page.read_text())]
    assert sorted(found) == sorted(pages.TABLES)


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)
def test_pages_state_the_results(page):
    missing = []
    text = page.read_text()
    assert pages.fill(text, record.FOLDER, missing) == text and not missing


def test_a_table_that_there_is_not():
    with pytest.raises(ValueError, match="There is no table 'tabels'; there are front, paper"):
        pages.fill("<!-- tabels -->\n<!-- end -->", record.FOLDER, [])


def test_says_which_results_are_missing(tmp_path):
    """It also leaves such a table as it is."""
    text = "\n".join(f"<!-- {name} -->\nold\n<!-- end -->" for name in ("words", "qat"))
    record.write(tmp_path / "training.json", {"speed": {}})
    missing = []
    assert pages.fill(text, tmp_path, missing) == text
    word, qat = missing
    assert word.startswith(f"{tmp_path}/wake_word.json is missing: make")
    assert qat == f"{tmp_path}/training.json has no 'qat': make bench-qat writes it."


def test_pages_import_no_benchmark():
    for path in (record.ROOT / "benchmarks" / "pages").glob("*.py"):
        imported = re.findall(r"^from (benchmarks\S*) import (\w+)", path.read_text(), re.M)
        for module, name in imported:
            allowed = "benchmarks.pages", "benchmarks.targets", "benchmarks.record"
            assert f"{module}.{name}".startswith(allowed), path


def test_command(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("<!-- qat -->\n<!-- end -->\n<!-- chips -->\nold\n<!-- end -->\n")
    record.write(tmp_path / "microcontrollers.json", {"m4_kernel_bytes": 2046})
    monkeypatch.setattr(record, "FOLDER", tmp_path)
    monkeypatch.setattr(pages, "PAGES", (page,))
    monkeypatch.setattr(pages, "PICTURES", {})
    with pytest.raises(SystemExit, match="training.json is missing: make bench-qat writes it.$"):
        pages.main()
    assert "| `m4_kernel_bytes` | 2,046 | <= 3,072 |" in page.read_text()

"""The code of README and docs runs as printed, links resolve, and the API reference builds.

Each test of code is a process of its own: an import that a page lacks is missed there.
"""

import importlib
import os
import pathlib
import subprocess
import sys

import api_reference
import markdown_it
import pytest
from tools import write

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
GUIDES = ["train.md", "prune.md", "quantize.md", "export.md", "deploy.md", "litert.md", "keras.md"]
TF_KERAS = "# TF_USE_LEGACY_KERAS=1 python train.py\n"

# Runs the first file, and each other file with the names that the first one defined. Commands of
# this package run in this process, which has imported TensorFlow; tests/export/test_command.py runs
# them by their names. One that stands on several pages runs once.
RUN = """
import functools, pathlib, runpy, shlex, subprocess, sys
from absl.testing import flagsaver

@functools.cache
def shell(text):
    for line in text.replace("\\\\\\n", "").splitlines():
        words = shlex.split(line)
        if words[:2] != ["python", "-m"]:
            subprocess.run(line, shell=True, check=True)
            continue
        sys.argv = words[2:]
        with flagsaver.flagsaver():  # and no flags that the command defines, afterwards
            try:
                runpy.run_module(words[2], run_name="__main__")
            except SystemExit as end:
                assert end.code is None, end.code

files, names = sys.argv[1:], {"shell": shell}
for path in files:
    code = compile(pathlib.Path(path).read_text(), path, "exec")
    exec(code, names if path == files[0] else dict(names))
"""

# Checks at the end of a page, of the models that its code made.
CHECKS = {
    "train.md": """
right = np.mean(model.predict(x_test, verbose=0).argmax(axis=-1) == y_test)
assert right > 0.98, right
""",
    "prune.md": """
right = np.mean(model.predict(x_test, verbose=0).argmax(axis=-1) == y_test)
assert right > 0.98, right
""",
    "quantize.md": """
assert agree > 0.99, agree
right = np.mean(Interpreter(tflite).predict(x_test).argmax(axis=-1) == y_test)
assert right > 0.98, right
spread = np.std(1.5 * y_test)
errors = [np.sqrt(np.mean((y[:, 0] - 1.5 * y_test) ** 2)) for y in (hertz, int8_hertz)]
assert errors[0] < 0.2 * spread, errors
assert errors[1] < np.hypot(errors[0], rounding) * 1.1 < 1.2 * errors[0], (errors, rounding)
""",
    "export.md": """
from keras_fastgrnn.micro import Interpreter
expected = model.predict(x_test, verbose=0).argmax(axis=-1)
assert np.mean(Interpreter(tflite).predict(x_test).argmax(axis=-1) == expected) > 0.99
stream, last = Interpreter(streaming), []
for window in x_test:
    stream.reset()
    last.append(stream.predict(window[:, None])[-1].argmax())
assert np.mean(last == expected) > 0.99
""",
    "deploy.md": """
expected = model.predict(x_test, verbose=0).argmax(axis=-1)
assert np.mean(y.argmax(axis=-1) == expected) > 0.99
assert len(logits) == len(x_test)
assert np.mean(np.argmax(logits, axis=-1) == expected) > 0.99
page = (docs / "tflm.md").read_text()
assert f"| int8 in and out | {interpreter.arena_bytes:,} |" in page
assert f"| float32 in and out | {float_ends.arena_bytes:,} |" in page
""",
}

README_CHECK = """
agree = y.argmax(axis=-1) == model.predict(x_test, verbose=0).argmax(axis=-1)
assert np.mean(agree) > 0.9, np.mean(agree)
"""

README_DATA = """
import numpy as np
rng = np.random.default_rng(0)
x, y = rng.normal(size=(64, 128, 3)).astype("float32"), rng.integers(0, 6, 64)
steps_per_epoch, x_test = 2, x
"""

README_MODEL = """
import keras, keras_fastgrnn
keras.Sequential([keras.Input((128, 3)), keras_fastgrnn.FastGRNN(4)]).save("m.keras")
np.save("x.npy", x)
"""

EDGEML_DATA = """
import pathlib
import numpy as np
rng = np.random.default_rng(0)
folder = pathlib.Path("FastGRNNResults/2018-11-26T11-12-29")
folder.mkdir(parents=True)
shapes = {"W": (3, 5), "U": (5, 5), "Bg": (1, 5), "Bh": (1, 5), "zeta": (1, 1), "nu": (1, 1)}
shapes |= {"FC": (5, 2), "FCbias": (2,), "mean": (27,), "std": (27,)}
for name, shape in shapes.items():
    np.save(folder / f"{name}.npy", rng.uniform(1, 2, shape).astype(np.float32))
x, features = rng.normal(size=(4, 27)), 3
"""


def blocks(page):
    """`(line, language, text)` of each block of code; the language of an indented block is ""."""
    tokens = markdown_it.MarkdownIt().parse(page.read_text())
    for token in tokens:
        if token.type in ("fence", "code_block"):
            yield token.map[0] + (token.type == "fence"), token.info, token.content


def code(page, only=lambda line, text: True):
    """The Python and commands of a page, each at its line, so that a traceback names it."""
    lines = [""] * page.read_text().count("\n")
    for line, kind, text in blocks(page):
        if kind == "" and text.startswith("python -m keras_fastgrnn"):
            text = f"shell({text!r})"
        elif kind != "python":
            continue
        if only(line, text):
            code = text.splitlines()
            lines[line : line + len(code)] = code
    return "\n".join(lines)


def run(folder, files, **environment):
    """Runs files, a dict from name to code. Returns their output."""
    write(folder, files)
    environment = {"TF_USE_LEGACY_KERAS": "0", "PYTHONUNBUFFERED": "1"} | environment
    result = subprocess.run(
        [sys.executable, "-c", RUN, *files],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_quickstart_and_guides(tmp_path):
    """All guides continue with the quickstart's trained model: training takes the longest."""
    page = DOCS / "quickstart.md"
    lines = [line for line, kind, _ in blocks(page) if kind == "python"]
    pages = {
        "trained.md": f"import pathlib; docs = pathlib.Path({str(DOCS)!r}); del pathlib\n"
        + code(page, lambda line, text: line in lines[:2]),
        "quickstart.md": code(page, lambda line, text: line not in lines[:2]) + "\nprint('end')",
    }
    for name in GUIDES:
        guide = code(DOCS / name, lambda _, text: TF_KERAS not in text)
        pages[name] = f"{guide}\n{CHECKS.get(name, '')}"
    printed = run(tmp_path, pages).partition("\nend\n")[0]
    expected = [text for _, kind, text in blocks(page) if kind == "text"]
    assert expected
    for text in expected:
        assert text in printed
    assert printed.splitlines()[-1].startswith("0: ")  # the class of a window of no movement


def test_readme(tmp_path):
    data = README_DATA + README_MODEL
    run(tmp_path, {"data.py": data, "README.md": code(ROOT / "README.md") + README_CHECK})
    assert list((tmp_path / "folder").rglob("*.ino"))


def test_pruning_with_tfmot_itself(tmp_path):
    page = code(DOCS / "prune.md", lambda _, text: TF_KERAS in text)
    assert page.strip()
    run(tmp_path, {"data.py": README_DATA, "prune.md": page}, TF_USE_LEGACY_KERAS="1")


def test_edgeml(tmp_path):
    run(tmp_path, {"data.py": EDGEML_DATA, "edgeml.md": code(DOCS / "edgeml.md")})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page):
    tokens = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).parse(page.read_text())
    children = [child for token in tokens for child in token.children or ()]
    targets = [child.attrs["href"] for child in children if child.type == "link_open"]
    targets += [child.attrs["src"] for child in children if child.type == "image"]
    for target in targets:
        if not target.startswith("https://"):
            assert (page.parent / target.split("#")[0]).exists(), target


def test_every_page_is_found():
    start, index = (ROOT / "README.md").read_text(), (DOCS / "README.md").read_text()
    for page in DOCS.glob("*.md"):
        assert f"(docs/{page.name})" in start or f"({page.name})" in index, page.name


def test_api_reference(tmp_path):
    api_reference.write(tmp_path)
    for name in api_reference.MODULES:
        assert (tmp_path / f"{name.replace('.', '/')}.html").is_file()
    page = (tmp_path / "keras_fastgrnn.html").read_text()
    # A section of Keras's docstrings that Google's style does not have.
    assert '<h6 id="call-arguments">Call arguments:</h6>' in page
    assert "<li><strong>sequences:</strong>" in page


SAMPLE = """
def documented():
    "It."

def undocumented(): ...

def _private(): ...

class Class:
    "It."

    def documented(self):
        "It."

    def undocumented(self): ...
"""


def test_a_public_name_needs_a_docstring(tmp_path, monkeypatch):
    (tmp_path / "sample_of_docstrings.py").write_text(SAMPLE)
    monkeypatch.syspath_prepend(tmp_path)
    names = api_reference.undocumented(importlib.import_module("sample_of_docstrings"))
    assert [name.partition(".")[2] for name in names] == ["undocumented", "Class.undocumented"]

"""Checks of an HTML page."""

import html
import json
import re
import subprocess

from tools import require

# Finds texts that stick out of the page, or of a chart, at the width of a phone.
MEASURE = """
const page = document.querySelector("iframe").contentDocument, cut = [];
for (const text of page.querySelectorAll("svg text")) {
  const inner = text.getBoundingClientRect();
  const outer = text.closest("svg").getBoundingClientRect();
  if (inner.left < outer.left - 1 || inner.right > outer.right + 1 ||
      inner.top < outer.top - 1 || inner.bottom > outer.bottom + 1) cut.push(text.textContent);
}
const result = {width: page.scrollingElement.scrollWidth, cut: cut,
                texts: page.querySelectorAll("svg text").length};
document.body.innerHTML = "<pre>" + JSON.stringify(result) + "</pre>";
"""


def table(text, head):
    """The cells of the rows of the first table whose head starts with a cell."""
    for found in re.findall("<table>(.*?)</table>", text, re.DOTALL):
        rows = [re.split("<t[hd][^>]*>", row)[1:] for row in found.split("<tr>")[1:]]
        if rows[0][0] == head:
            return [[html.unescape(re.sub("<[^>]*>", "", c)).strip() for c in row] for row in rows]
    raise AssertionError(f"no table of {head}")


def assert_self_contained(text):
    """Checks that a page has no script and requests nothing from the network."""
    links = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', text)
    targets = set(re.findall(r'\bid="([^"]*)"', text))
    for link in [*links, *re.findall(r"url\(([^)]*)\)", text)]:
        assert link.startswith("data:") or (link[0] == "#" and link[1:] in targets), link
    assert not re.search(r"<script|<link rel=\"(?!icon)|@import|\bon\w+=|javascript:", text)
    assert len(re.findall(r'\bid="', text)) == len(targets)  # no id twice


def on_a_phone(text, folder):
    """Shows a page of HTML in Chromium, 360 pixels wide; skips the test where there is none.

    Args:
        text: of the page.
        folder: an empty one.

    Returns:
        dict: the page's "width"; how many "texts" are in charts, and those "cut" off; what is said
        on the "console".
    """
    require(("chromium",), "chromium")
    # In a frame: the window of a headless Chromium is no narrower than 500 pixels.
    (folder / "page.html").write_text(
        f'<body><iframe style="width:360px;height:800px;border:0" srcdoc="{html.escape(text)}">'
        f"</iframe><script>onload = () => {{{MEASURE}}}</script></body>"
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    flags += [f"--user-data-dir={folder}/user", "--dump-dom"]
    result = subprocess.run(
        ["chromium", *flags, f"file://{folder}/page.html"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    measured = json.loads(html.unescape(re.search("<pre>(.*)</pre>", result.stdout)[1]))
    return measured | {"console": re.findall(".*CONSOLE.*", result.stderr)}

"""HTML pages with tables and charts, without scripts or requests to the network."""

import html
import io
import re

import matplotlib
import numpy as np
from matplotlib.figure import Figure

BLUE, ORANGE, INK = "#2f80d0", "#e07b1a", "#010203"  # the last becomes the color of the text
_STYLE = {
    **{"svg.fonttype": "none", "font.size": 9, "lines.linewidth": 1.2, "legend.frameon": False},
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
}
_CSS = """
:root{color-scheme:light dark;--line:#d5dae0;--soft:#dfe4ea;--dim:#5b6672}
@media(prefers-color-scheme:dark){:root{--line:#3a424b;--soft:#3d4650;--dim:#9aa5b1}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;line-height:1.2;margin:.5rem 0}
h2{font-size:1.2rem;margin:2.5rem 0 .5rem;padding-top:1rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.5rem 0 .5rem}
h1,h2,h3,p,figcaption{overflow-wrap:anywhere}
p{margin:.25rem 0 .75rem;max-width:44rem}
p,figcaption{color:var(--dim);font-size:.875rem}
.wide{overflow-x:auto;margin:.5rem 0 1rem}
table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem 1rem .3rem 0;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}
td:first-child{white-space:normal;overflow-wrap:anywhere;min-width:10rem}
.n{text-align:right}
.bar{position:relative;width:8rem;height:.8rem}
.bar i{position:absolute;top:25%;bottom:25%;min-width:1px}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr));gap:1.5rem 1rem;align-items:end}
figure{margin:0}
svg{display:block;width:100%;max-width:24rem;height:auto}
svg text{font-family:system-ui,sans-serif}
"""  # noqa: E501


class Html(str):
    """Markup that a table does not escape."""


def page(title, sections):
    """Returns an HTML page.

    Args:
        title: string.
        sections: dict from heading to the HTML below it, a string or an iterable of strings.
    """
    body = "".join(
        f"<h{1 if i == 0 else 2}>{html.escape(heading)}</h{1 if i == 0 else 2}>\n{''.join(parts)}"
        for i, (heading, parts) in enumerate(sections.items())
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<link rel="icon" href="data:,">
<style>{_CSS}</style>
</head>
<body>
{body}</body>
</html>
"""


def chart(caption, draw, height=2.2):
    """Returns a figure as wide as a phone, 3.6 inches, so that its font sizes hold there."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # not the user's style
        matplotlib.rcParams.update(_STYLE | {"svg.hashsalt": caption})  # ids depend on the caption
        figure, file = Figure(figsize=(3.6, height), layout="constrained"), io.StringIO()
        draw(figure)
        none = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, dpi=150, metadata=none)
    svg = file.getvalue().partition("<svg")[2].replace(INK, "currentColor")
    svg = re.sub(r"<style.*?</style>|(?<=<g) id=\"[^\"]*\"| font-family: [^;\"]*;?", "", svg)
    text = html.escape(caption)
    return (
        f"<figure>\n<figcaption>{text}</figcaption>\n"
        f'<svg role="img" aria-label="{text}"{svg}</figure>\n'
    )


def charts(charts):
    return f'<div class="charts">\n{"".join(charts)}</div>\n'


def table(head, rows):
    """Returns a table. Columns whose head starts with `>` are aligned to the right."""
    kinds = [' class="n"' if name.startswith(">") else "" for name in head]
    lines = [("th", [name.removeprefix(">") for name in head]), *(("td", row) for row in rows)]
    body = "".join(
        "<tr>" + "".join(f"<{tag}{k}>{_cell(v)}" for k, v in zip(kinds, line, strict=True)) + "\n"
        for tag, line in lines
    )
    return f'<div class="wide"><table>\n{body}</table></div>\n'


def _cell(value):
    if isinstance(value, (float, np.floating)):
        return f"{value:.4g}"
    return value if isinstance(value, Html) else html.escape("–" if value is None else str(value))


def bar(label, *spans):
    """Returns a bar. `spans`: `(color, from, to)`, as fractions of the width."""
    parts = "".join(
        f'<i style="left:{a:.1%};width:{b - a:.1%};background:{color}"></i>'
        for color, a, b in spans
    )
    return Html(f'<div class="bar" role="img" aria-label="{html.escape(label)}">{parts}</div>')

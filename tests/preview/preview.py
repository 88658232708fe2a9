"""Draws the generated dashboards from a live Prometheus: `python -m tests.preview.preview --prometheus URL`.

Each panel stands in its place of the grid, each value is Prometheus' answer to the panel's own query. It is no Grafana:
it shows what a dashboard says of an incident, for the documentation and for whoever changes a panel.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from tests.preview import draw
from tests.preview.fill import Api, Document, QueryFailed, Series, Window, named, panel_asks, seconds
from tests.preview.look import THEMES, drawn

FOLDER = Path(__file__).parents[2] / "dashboards"
WIDTH, CELL, GAP, HEADER, DPI = 1920, 30, 8, 84, 100
"""Pixels of a browser's window, a row of the grid, between panels, and for the title and the variables; per inch."""


def picture(document: Document, api: Api, window: Window, theme: str = "dark") -> Figure:
    """Draw a dashboard.

    Raises:
        QueryFailed: Prometheus refuses a query, or isn't there.
    """
    look = THEMES[theme]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in document["panels"])
    height = HEADER + rows * (CELL + GAP) + GAP
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor=look.ground)
    FigureCanvasAgg(figure)
    paper = figure.add_axes((0, 0, 1, 1))
    paper.set_xlim(0, WIDTH)
    paper.set_ylim(height, 0)
    paper.axis("off")
    canvas = draw.Canvas(figure, paper, look, window)
    _header(canvas, document)
    for panel in document["panels"]:
        box = _box(panel["gridPos"])
        if panel["type"] == "row":
            inside = (
                f"▸ {panel['title']} ({len(panel['panels'])} panels)" if panel["collapsed"] else f"▾ {panel['title']}"
            )
            canvas.write(box.x + 6, box.y + box.height / 2, inside, size=11)
        else:
            draw.panel(canvas, box, panel, drawn(panel, _answers(panel, api, window)))
    return figure


def _answers(panel: Document, api: Api, window: Window) -> list[tuple[str, Series]]:
    found = []
    for ask in panel_asks(panel):
        answers = sorted(api.ask(ask, window), key=lambda series: sorted(series.labels.items()))
        found += [(named(ask.legend, series.labels), series) for series in answers]
    order = [override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]]
    if panel["type"] == "timeseries":  # known names in the house's order
        found.sort(key=lambda pair: order.index(pair[0]) if pair[0] in order else len(order))
    return found


def _box(place: dict[str, int]) -> draw.Box:
    unit = (WIDTH - GAP) / 24
    return draw.Box(
        GAP + place["x"] * unit,
        HEADER + place["y"] * (CELL + GAP),
        place["w"] * unit - GAP,
        place["h"] * (CELL + GAP) - GAP,
    )


def _header(canvas: draw.Canvas, document: Document) -> None:
    canvas.write(GAP + 4, 22, document["title"], size=15, weight="bold")
    moments = (datetime.fromtimestamp(moment, UTC) for moment in (canvas.window.start, canvas.window.end))
    shown = " to ".join(f"{moment:%Y-%m-%d %H:%M:%S}" for moment in moments)
    canvas.write(WIDTH - GAP - 4, 22, f"{shown} UTC", size=10, colour=canvas.theme.faint, ha="right")
    x = GAP + 4.0
    for variable in document["templating"]["list"]:
        if variable["hide"]:
            continue
        words = f"{variable['label']}  All" if variable["type"] == "query" else f"{variable['label']}  default"
        canvas.write(x, 58, words, size=9.5, colour=canvas.theme.faint)
        x += 34 + 7.4 * len(words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the dashboards asked for, all unless named."""
    files = sorted(FOLDER.glob("river-*.json"))
    parser = argparse.ArgumentParser(prog="python -m tests.preview.preview", description=__doc__)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", metavar="URL", help="default %(default)s")
    parser.add_argument("--window", default="1h", help="how far back to look, as 15m (default %(default)s)")
    parser.add_argument("--end", type=float, help="Unix time to look back from (default now)")
    parser.add_argument("--scrape", default="15s", help="Prometheus' scrape interval (default %(default)s)")
    parser.add_argument("--theme", choices=sorted(THEMES), default="dark")
    parser.add_argument("--output", type=Path, default=Path(), help="folder for the pictures (default here)")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(path.stem for path in files)}")
    options = parser.parse_args(arguments)
    end = options.end or time.time()
    try:
        window = Window(end - seconds(options.window), end, seconds(options.scrape))
    except ValueError as error:
        parser.error(f"not a duration as 15m: {error}")
    chosen = [path for path in files if not options.names or path.stem in options.names]
    if not chosen:
        parser.error(f"no dashboard of that name; there are {', '.join(path.stem for path in files)}")
    return draw_all(chosen, Api(options.prometheus), window, options.theme, options.output)


def draw_all(files: Sequence[Path], api: Api, window: Window, theme: str, output: Path) -> int:
    """Draw each file into `output` as a PNG of its name; says so, or why not, and returns an exit code."""
    output.mkdir(parents=True, exist_ok=True)
    for path in files:
        target = output / f"{path.stem}{'' if theme == 'dark' else '-' + theme}.png"
        try:
            figure = picture(json.loads(path.read_text()), api, window, theme)
        except QueryFailed as error:
            print(f"{path.stem}: {error}", file=sys.stderr)
            return 1
        save(figure, target)
        print(f"drew {target}", file=sys.stderr)
    return 0


def save(figure: Figure, target: Path) -> None:
    """Write a PNG of at most 256 colours: a third of the bytes, and no difference that is seen."""
    raw = io.BytesIO()
    figure.savefig(raw, dpi=DPI)
    Image.open(raw).convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT).save(target, optimize=True)


if __name__ == "__main__":
    sys.exit(main())

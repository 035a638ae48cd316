"""Pages about a study as tests drive them: visits, and what pages say and show."""

import html
import json
from collections.abc import Callable
from typing import Any

import pandas as pd
from streamlit.testing.v1 import AppTest

from core.data.samples import samples
from core.images import Picture, decode
from core.mining.overview import overview
from core.mining.rules import Mined
from core.study import Study
from tests.pages_list import FILES

Plant = Callable[[Callable[[int, float], list[int]]], Study]


def visit(app: AppTest, title: str, **query: str) -> AppTest:
    app.run()
    for name, value in query.items():
        app.query_params[name] = value
    return app.switch_page(FILES[title]).run()


def said(app: AppTest) -> str:
    kinds = (app.error, app.warning, app.info, app.caption, app.markdown, app.header, app.title)
    return html.unescape(" ".join(str(box.value) for boxes in kinds for box in boxes))


def parts(app: AppTest) -> list[str]:
    return [element.proto.component_name for element in app.get("bidi_component")]


def shown_first(mined: Mined, *, few: bool = True) -> pd.DataFrame:
    """The rules in the order of the page."""
    return overview(mined.rules, (), few=few).rules


def charts(app: AppTest) -> list[list[dict[str, Any]]]:
    """The traces of every chart."""
    return [json.loads(chart.proto.spec)["data"] for chart in app.get("plotly_chart")]


def looked_at(app: AppTest) -> Picture:
    """The picture of the header."""
    name = app.session_state["location"].image
    path = next(sample.path for sample in samples() if sample.path.name == name)
    return decode(path.read_bytes(), path.name)

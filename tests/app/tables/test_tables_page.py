"""The page of tables, without a browser."""

import html
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from core.tables.data.datasets import DATASETS
from core.tables.table import Column, Table
from core.tables.tree import tree
from pages.ui.tables.importances import _path
from tests.pages_list import FILES, SCRIPT
from tests.waiting import until

SHEET = b"hours;colour;name;score\n" + b"".join(
    f"{n},5;{'red' if n % 3 else 'blue'};student {n};{2 * n + n % 3},0\n".encode() for n in range(40)
)


pytestmark = pytest.mark.usefixtures("session")


def page(**query: str) -> AppTest:
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    app.run()
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page(FILES["Tables"]).run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    return html.unescape(" | ".join(str(one.value) for one in [*app.markdown, *app.caption, *app.info, *app.error]))


def press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def test_the_students_are_trained_explained_and_told_about() -> None:
    app = page()
    text = said(app)
    assert "400 rows, 7 features; the target score is a number." in text
    assert "The R² is" in text
    assert "All three rank study hours first" in text
    assert "The model's score is" in text
    assert "Rules are about classes." in text
    assert len(app.get("plotly_chart")) == 3  # importances, the tree, the row
    assert not app.error


def test_rules_of_classes_and_the_one_that_fires() -> None:
    app = page(table="wine", row="3")
    text = said(app)
    assert "rules** of" in text
    assert "For row 3: If " in text
    assert "If no rule holds: " in text
    assert len(app.get("plotly_chart")) == 4
    app = next(one for one in app.get("button_group") if "by" in one.key).set_value("deepred").run()
    assert "For row 3" not in said(app)
    app = press(app, "Extract rules")
    until(lambda: "For row 3: If " in said(app.run()))
    assert not app.error


def test_a_number_becomes_two_classes() -> None:
    app = page(table="diabetes", above="1")
    assert "one of 2 classes" in said(app)
    assert "rules** of" in said(app)


def test_a_row_beside_shuffled_targets() -> None:
    app = press(page(table="wine", set="network.epochs:10"), "Compare with shuffled targets")
    until(lambda: "20 shuffles" in said(app.run()))
    assert "The largest weight, " in said(app)


def test_a_few_rows_stand_for_all() -> None:
    app = press(page(table="wine"), "Choose rows")
    until(lambda: "of the importance of all features" in said(app.run()))
    assert said(app).count("So far ") <= 5


def test_a_node_of_the_tree_tells_its_rows() -> None:
    network = Column("x"), Column("y")
    table = Table(
        "made", network, np.array([[x, y] for x in range(10) for y in range(10)], float),
        Column("z", "category", ("a", "b")), np.array([float(x > 4 and y > 4) for x in range(10) for y in range(10)]),
    )  # fmt: skip
    root = tree(table, depth=2).root
    told = [_path(root, node.number) for node in root]
    assert told[0] == "In all rows of the training, 100 rows, most a, Gini impurity 0.375."
    assert sum(text.endswith("25 rows, most b, Gini impurity 0.000.") for text in told) == 1
    assert all(f"{node.n:,} rows, most {node.value}" in text for node, text in zip(root, told, strict=True))


def test_digits_show_where_importances_fail() -> None:
    app = page(table="digits")
    assert "Where importances fail" in [one.value for one in app.header]
    captions = [image.proto.imgs[0].caption for image in app.get("image") if image.proto.imgs]
    assert [text for text in captions if "Gini importance of each pixel" in html.unescape(text)]
    assert "Where importances fail" not in [one.value for one in page(table="wine").header]


def test_a_wide_table_waits_to_be_asked() -> None:
    app = page(table="drugs")
    assert "18,632 features" in said(app)
    assert [button for button in app.button if button.label == "Compute importances"]
    assert "It says nothing here: 18,632 features can fit any 1,073 rows." in said(app)
    assert not app.error


def test_an_own_file_is_read_and_corrected() -> None:
    app = page(table="csv")
    assert "Choose a file." in said(app)
    app = app.file_uploader(key="tables-file").set_value(("mine.csv", SHEET, "text/csv")).run()
    text = said(app)
    assert "40 rows, 2 features; the target score is a number." in text
    assert "name was left out: 40 of its 40 texts differ." in text
    app = next(box for box in app.selectbox if box.label == "Target").set_value("colour").run()
    assert "the target colour is one of 2 classes." in said(app)
    assert not app.error
    app = app.selectbox(key="tables-delimiter").set_value("tab").run()
    assert "too many for classes" in app.error[0].value, "a single column, without a tab in it"
    app = app.selectbox(key="tables-delimiter").set_value("semicolon").run()
    assert not app.error
    app = app.file_uploader(key="tables-file").set_value(("mine.csv", b"a,b\n1,1\n", "text/csv")).run()
    assert app.error
    assert "Traceback" not in said(app)


def test_every_bundled_table_has_a_title() -> None:
    (box,) = [box for box in page().selectbox if box.label == "Table"]
    assert box.options == [*(card.title for card in DATASETS.values()), "your own CSV file"]


def test_what_is_lost_without_a_feature_and_half_spaces() -> None:
    app = press(page(table="wine", by="hypinv"), "Train again")
    until(lambda: "What costs most: Regression: " in said(app.run()))
    app = press(app, "Search the boundary")
    until(lambda: "This agrees with the network for " in said(app.run()))
    assert "Experimental." in said(app)
    assert not app.error


def test_own_code_is_offered_only_by_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "The accuracy is " in said(page(table="wine", of="own"))
    code = tmp_path / "mine.py"
    code.write_text(
        "import numpy as np\nclass Model:\n    def predict_proba(self, frame):\n"
        "        return np.tile([0.2, 0.5, 0.3], (len(frame), 1))\ndef build():\n    return Model()\n"
    )
    monkeypatch.setenv("VITRINE_TABLE_MODEL", f"{code}:build")
    app = page(table="wine", of="own")
    assert "The accuracy of your model is " in said(app)
    assert not [button for button in app.button if button.label == "Compare with shuffled targets"]
    assert not app.error

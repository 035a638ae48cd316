"""The page about one class of a study."""

import html
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.models import load
from core.study import Study
from core.study.build import build_study
from core.study.config import MiningConfig, PatchConfig, StudyConfig
from pages.ui.study import open_study
from tests.mine_pages import Plant, charts, said, visit
from tests.packets import packets

pytestmark = pytest.mark.usefixtures("session")
MODEL = "flowers-double-12c"


@pytest.fixture
def study(home: Path) -> Study:
    return Study(home / "studies" / "small")


@pytest.fixture(scope="module")
def few(home: Path) -> Iterator[Study]:
    """A study of two of the classes, with an image of the second one among those of the first."""
    study, folder, path = Study(home / "studies" / "small"), home / "few", home / "studies" / "few"
    first, second = study.labels[:2]
    for name in (first, second):
        shutil.copytree(study.folder / name, folder / name)
    shutil.move(folder / second / "0.png", folder / first / "moved.png")
    config = StudyConfig(
        model=MODEL, data=str(folder), patches=PatchConfig(count=2, draws=50), mining=MiningConfig(support=0.6)
    )
    yield build_study(config, path)
    shutil.rmtree(path)


def opened(app: AppTest, study: Study, label: int) -> AppTest:
    return visit(app, "Class", study=study.name, **{"class": study.labels[label]})


def galleries(app: AppTest) -> dict[str, Any]:
    """The pictures of each gallery."""
    return {one["label"]: one["ids"] for one in packets(app, "patch_gallery")}


def links(app: AppTest) -> dict[str, str]:
    """The address of each link."""
    return {one.proto.label: f"{one.proto.page}?{one.proto.query_string}" for one in app.get("page_link")}


def test_a_link_opens_a_class_with_all_that_is_known_of_it(app: AppTest, study: Study) -> None:
    label = int(study.table("rules")["label"].iloc[0])
    opened(app, study, label)
    assert not app.error
    assert app.selectbox(key="classes.class").value == label
    assert "images are right" in said(app)
    shown, averages = galleries(app), study.table("averages")
    images, patches = study.table("images"), study.table("patches")
    assert set(patches["label"].iloc[shown[f"Patches of class {label}"]]) == {label}
    assert set(shown[f"Averages of class {label}"]) <= set(averages.loc[averages["label"] == label, "filter"])
    assert set(images["label"].iloc[shown["Typical and odd images"]]) == {label}
    assert "too few for clusters" in said(app), "of five images"


def test_the_bars_are_products_of_weight_and_mean_activation(app: AppTest, study: Study) -> None:
    label, model = 2, load(MODEL)
    opened(app, study, label)
    weight = model.net.get_parameter(f"{model.survey.head}.weight")[label].numpy(force=True)
    means = study.array("pooled")[(study.table("images")["label"] == label).to_numpy()].mean(0)
    bars = {name: share for trace in charts(app)[0][:2] for name, share in zip(trace["y"], trace["x"], strict=True)}
    singles = {int(name[1:]): share for name, share in bars.items() if name.startswith("F")}
    assert singles == pytest.approx({number: weight[number] * means[number] for number in singles}, rel=1e-4)
    assert sum(bars.values()) == pytest.approx(float(weight @ means), rel=1e-4)
    assert int(np.abs(weight * means).argmax()) in singles


def test_next_previous_and_random_change_the_class(app: AppTest, study: Study) -> None:
    visit(app, "Class", study="small")
    buttons = {one.label: one for one in app.button}
    assert buttons["Previous"].disabled
    seen = [app.selectbox(key="classes.class").value]
    buttons["Next"].click().run()
    seen.append(app.selectbox(key="classes.class").value)
    for _ in range(4):
        app.button(key="class-random").click().run()
        seen.append(app.selectbox(key="classes.class").value)
    assert all(one != other for one, other in pairwise(seen))
    assert len(set(seen)) > 3
    assert app.query_params["class"] == study.labels[seen[-1]]


def test_a_confusion_leads_to_its_images(app: AppTest, few: Study) -> None:
    opened(app, few, 0)
    assert "are right" in said(app)
    (title,) = [name for name in links(app) if name.startswith(few.labels[1].replace("-", "&#45;"))]
    address = links(app)[title]
    assert title.endswith("1")
    assert "which=wrong" in address
    assert "pair=0-1" in address
    assert "of=few" in address
    app.selectbox(key="classes.class").set_value(1).run()
    assert "Others taken for it" in said(app)


def test_a_class_without_images_has_a_sentence_for_each_part(app: AppTest, few: Study) -> None:
    label = len(few.labels) - 1
    assert label not in few.table("images")["predicted"].tolist()
    opened(app, few, label)
    words = said(app)
    for sentence in (
        "No image of this study is of",
        "so there is no mean logit to split",
        "The study has no image of",
        "The study has no patch of",
        "No rule of this study predicts",
        "it has none",
    ):
        assert sentence in words
    assert not app.error
    assert galleries(app) == {}


def test_a_class_without_rules_keeps_its_images(app: AppTest, plant: Plant) -> None:
    bare = plant(lambda label, _: [] if label == 1 else [label])
    opened(app, bare, 1)
    assert "No rule of this study predicts" in said(app)
    assert "label=" in links(app)["Try other settings on Rules"]
    assert set(galleries(app)) == {"Patches of class 1", "Typical and odd images"}


def test_the_header_says_how_many_images_are_right_and_leads_to_the_others(app: AppTest, few: Study) -> None:
    images = few.table("images")
    wrong = int((images["label"] != images["predicted"]).sum())
    assert wrong > 0
    found = links(opened(app, few, 0))
    assert found[f"{1 - wrong / len(images):.1%} of {len(images)} right"] == "failures?study=few&of=few"


@pytest.mark.parametrize(
    ("title", "query"), [("Rules", {}), ("Patches", {"label": "{}"}), ("Filter", {"unit": "{filter}"})]
)
def test_a_class_that_is_named_leads_to_its_page(app: AppTest, study: Study, title: str, query: dict[str, str]) -> None:
    rule = study.table("rules").iloc[0]
    name = study.labels[rule["label"]]
    values = {key: text.format(name, filter=rule["filters"][0]) for key, text in query.items()}
    visit(app, title, study="small", **values)
    found = {text: address for text, address in links(app).items() if text.startswith("About ")}
    assert len(found) == 1
    ((text, address),) = found.items()
    shown = html.unescape(text).removeprefix("About ")
    assert address == f"classes?{urlencode({'study': 'small', 'class': shown})}"
    assert shown in study.labels
    if title == "Patches":
        assert shown == name


def test_both_classes_of_a_case_lead_to_their_pages(app: AppTest, few: Study) -> None:
    visit(app, "Failures", of="few")
    found = {html.unescape(text): address for text, address in links(app).items() if text.startswith("About ")}
    assert set(found) == {f"About {name}" for name in few.labels[:2]}
    assert all("study=few" in address for address in found.values())


def test_classes_of_one_name_are_told_apart(study: Study) -> None:
    twice = SimpleNamespace(labels=("a", "b", "a"))
    assert open_study.class_texts(cast("Study", twice)) == ["a (0)", "b", "a (2)"]

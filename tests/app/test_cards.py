"""Forms and cards, drawn from any card: a method's and a measure's alike."""

import html

from streamlit.testing.v1 import AppTest

from core.card import Passes
from core.explain import EXPLAINERS
from core.measure import MEASURES
from core.params import params_of
from core.study.config import StudyConfig
from tests import nets
from tests.pages_list import FILES, SCRIPT


def drawn(name: str) -> None:
    """A page with the card and the form of a method or measure."""
    import streamlit as st

    from core.explain import EXPLAINERS
    from core.measure import MEASURES
    from pages.ui.session import state
    from pages.ui.widgets import forms, method_card

    shown = MEASURES[name] if name in MEASURES else EXPLAINERS[name]
    for _, text in state.pop_notices():
        st.warning(text)
    method_card.card(shown, 224, result=getattr(shown, "scale", ""))
    forms.settings(shown.params, name)


def app_of(name: str) -> AppTest:
    return AppTest.from_function(drawn, args=(name,), default_timeout=60).run()


def texts(app: AppTest) -> str:
    assert not app.exception
    return html.unescape(" ".join(box.value for box in app.markdown))


def kept(app: AppTest, name: str) -> object:
    return app.session_state["settings"].get(name)


def test_a_measure_has_a_card_and_a_form() -> None:
    app, measure = app_of("agreement"), MEASURES["agreement"]
    shown = texts(app)
    for text in (measure.title, measure.summary, measure.about, measure.caution, f"{measure.source} · `agreement`"):
        assert text in shown
    assert "**Result** rank correlation from -1 to 1; higher is better" in shown
    assert "**Cost** no passes" in shown
    assert [box.value for box in app.code] == [measure.formula]
    (toggle,) = app.toggle
    assert (toggle.label, toggle.help, toggle.value) == ("Magnitude", measure.params[0].knob.help, False)
    toggle.set_value(True).run()
    assert kept(app, "agreement") == {"magnitude": True}
    app.button(key="reset.agreement").click().run()
    assert kept(app, "agreement") == {}
    assert app.toggle[0].value is False


def test_a_list_of_numbers_is_edited_as_a_text() -> None:
    app = app_of("extremal_perturbation")
    assert "Default 0.1." in texts(app)
    assert app.text_input[0].value == "0.1"
    app.text_input[0].set_value("0.05, 0.1").run()
    assert kept(app, "extremal_perturbation") == {"areas": (0.05, 0.1)}
    assert app.text_input[0].value == "0.05,0.1"
    settings = EXPLAINERS["extremal_perturbation"].chosen(kept(app, "extremal_perturbation"))
    assert EXPLAINERS["extremal_perturbation"].passes(settings, 224) == Passes(1 + 2 * (200 + 49 + 2 * 21), 1 + 2 * 200)
    app.text_input[0].set_value("a lot").run()
    assert app.warning[0].value == "Areas cannot be 'a lot'. Give one number or several, separated by commas."
    assert app.text_input[0].value == "0.05,0.1", "what cannot be read changes nothing"
    app.text_input[0].set_value("").run()
    assert kept(app, "extremal_perturbation") == {}
    assert not app.warning


def with_model() -> None:
    """A page with the form of a study's own settings for a small network."""
    from core.params import params_of
    from core.study.config import StudyConfig
    from pages.ui.widgets import forms
    from tests import nets

    forms.settings(params_of(StudyConfig), "study", nets.model("gap"))


def with_unit() -> None:
    """A page with a form for a unit of a small network."""
    from typing import Annotated

    import streamlit as st

    from core.params import Knob, UnitName, params_of
    from pages.ui.session import state
    from pages.ui.widgets import forms
    from tests import nets

    def looked_at(unit: Annotated[UnitName, Knob("The unit looked at.")] = "") -> None: ...

    for _, text in state.pop_notices():
        st.warning(text)
    forms.settings(params_of(looked_at), "looked_at", nets.model("gap"))


def test_a_unit_is_looked_up_in_the_model() -> None:
    app = AppTest.from_function(with_unit, default_timeout=60).run()
    layer = nets.model("gap").survey.default
    app.text_input[0].set_value(f"{layer}:2").run()
    assert kept(app, "looked_at") == {"unit": f"{layer}:2"}
    app.text_input[0].set_value(f"{layer}:99").run()
    assert "has no unit 99" in app.warning[0].value
    assert kept(app, "looked_at") == {"unit": f"{layer}:2"}


def test_layers_are_picked_among_those_of_the_model() -> None:
    app = AppTest.from_function(with_model, default_timeout=60).run()
    assert not app.exception
    survey, picker = nets.model("gap").survey, app.selectbox(key="set.study.layer")
    assert [option.split(" · ")[0] for option in picker.options] == [layer.name for layer in survey.usable]
    assert picker.value == survey.default
    other = next(layer.name for layer in survey.usable if layer.name != survey.default)
    picker.set_value(other).run()
    assert kept(app, "study") == {"layer": other}
    app.text_input(key="set.study.labels").set_value("names.txt").run()
    assert kept(app, "study") == {"layer": other, "labels": "names.txt"}


def test_a_studys_own_layer_and_labels_are_kinds_of_their_own() -> None:
    kinds = {param.name: param.kind for param in params_of(StudyConfig)}
    assert (kinds["layer"], kinds["labels"]) == ("layer", "path")


def test_the_page_of_methods_has_a_side_for_measures() -> None:
    app = AppTest.from_file(str(SCRIPT), default_timeout=120).run()
    app.switch_page(FILES["Methods"]).run()
    switch = next(group for group in app.get("button_group") if group.key == "kind")
    for kind, cards in (("measures", MEASURES), ("methods", EXPLAINERS)):
        switch.set_value(kind).run()
        shown = texts(app)
        assert shown.count("**Cost**") == len(cards)
        assert all(f"#### {card.title}" in shown for card in cards.values())

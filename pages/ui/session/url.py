"""The URL of a page: `Location` and the settings of methods as a query string, both ways.

The parameters that belong to one page are read and written by `parameters`.
"""

import re
from reprlib import repr as short
from urllib.parse import urlencode

import streamlit as st

from core.environment import seed
from core.errors import BadParameter, VitrineError
from core.explain import EXPLAINERS
from core.images import shown
from core.params import checked, spelled, whole
from core.registry import unknown
from pages.ui.session import location, parameters, state

MOST = 4  # classes side by side
OWN = ("model", "img", "cls", "m", "set", "layer", "seed", "settle", "view")


def adopt() -> None:
    """Take over what the address says where it is not what was written last; what names nothing leaves a sentence."""
    given = {name: st.query_params.get_all(name) for name in OWN if name in st.query_params}
    if not given or given == st.session_state.get("address"):
        return
    if "model" in given:
        _take(lambda: _model(given["model"][0]))
    if "img" in given:
        location.go(image=given["img"][0])
    for name in given.get("m", [""])[0].split(","):
        if name:
            _take(lambda name=name: _method(name))
    methods = tuple(name for name in given.get("m", [""])[0].split(",") if name in EXPLAINERS)
    if methods:
        location.go(methods=tuple(dict.fromkeys(methods)))
    for text in given.get("set", []):
        _take(lambda text=text: _setting(text))
    _take(lambda: _seed(given.get("seed", ["0"])[0]))
    _take(lambda: _settle(given.get("settle", ["false"])[0]))
    if "cls" in given:
        _targets(given["cls"])
    if "layer" in given:
        _take(lambda: _layer(given["layer"][0]))
    st.session_state["view"] = ""
    _take(lambda: _view(given.get("view", [""])[0]))


def query() -> str:
    """The query string of where the session stands."""
    return urlencode([(name, value) for name, values in _own().items() for value in values])


def write() -> None:
    """Make the address say where the session stands, leaving the parameters of others alone."""
    wanted = _own()
    st.session_state["address"] = wanted
    for name in OWN:
        if name not in wanted and name in st.query_params:
            del st.query_params[name]
        elif name in wanted and st.query_params.get_all(name) != wanted[name]:
            st.query_params[name] = wanted[name]


def _own() -> dict[str, list[str]]:
    here = location.current()
    changed = [
        f"{name}.{key}:{spelled(value)}" for name in EXPLAINERS for key, value in location.settings(name).items()
    ]
    found = {
        "model": [here.model],
        "img": [here.image],
        "cls": [str(index) for index in here.targets],
        "m": [",".join(here.methods)],
        "set": changed,
        "layer": [here.layer],
        "seed": [str(here.seed)] if here.seed else [],
        "settle": ["true"] if here.settle else [],
    }
    return {name: values for name, values in found.items() if values and values[0]}


def _take(step: object) -> None:
    try:
        step()  # type: ignore[operator]
    except VitrineError as error:
        state.add_notice("warning", f"This link: {error} The other settings are kept.")


def _model(name: str) -> None:
    if name not in state.models():
        raise unknown("model", name, state.models())
    location.go(model=name)


def _method(name: str) -> None:
    EXPLAINERS[name]


def _setting(text: str) -> None:
    owner, _, rest = text.partition(".")
    name, colon, value = rest.partition(":")
    if not colon:
        raise BadParameter(f"{short(text)} is no setting.", "Write METHOD.SETTING:VALUE.")
    params = EXPLAINERS[owner].params
    chosen = checked(params, {name: value}, owner)[name]
    if chosen != next(param.default for param in params if param.name == name):
        location.settings(owner)[name] = chosen


def _seed(text: str) -> None:
    location.go(seed=seed(text))


def _settle(text: str) -> None:
    if text not in parameters.SWITCHED:
        raise BadParameter(f"settle cannot be {short(text)}.", "Use true or false.")
    location.go(settle=parameters.SWITCHED[text])


def _view(text: str) -> None:
    if text and not re.fullmatch(r"\w+:[\w.-]+(,\w+:[\w.-]+)*", text):
        raise BadParameter(f"The view cannot be {short(text)}.", "Copy a link from the page.")
    st.session_state["view"] = text


def _layer(name: str) -> None:
    usable = [layer.name for layer in location.bench().model.survey.usable]
    if name not in usable:
        raise unknown("layer", name, usable)
    location.go(layer=name)


def _targets(texts: list[str]) -> None:
    model = location.bench().model
    found: dict[int, None] = {}
    for text in texts:
        index = whole(text)  # first, as links hold indices
        wanted = text if index is None or index >= len(model.labels) else index
        _take(lambda wanted=wanted: found.setdefault(model.target(wanted)))
    if len(found) > MOST:
        left = ", ".join(shown(model.labels[index]) for index in list(found)[MOST:])
        state.add_notice("warning", f"This link: {MOST} classes are shown at a time. Not shown: {left}.")
    location.go(targets=tuple(found)[:MOST])

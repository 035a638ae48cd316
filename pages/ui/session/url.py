"""The URL of a page: `Location` and settings of methods, read from and written to the query string.

The parameters that belong to one page are read and written by `parameters`.
"""

import re
from collections.abc import Callable
from functools import partial
from reprlib import repr as short
from urllib.parse import urlencode

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.environment import seed
from core.errors import BadParameter, VitrineError
from core.explain import EXPLAINERS
from core.explain.target_name import TargetName, linked_target
from core.images import shown, window_of
from core.measure import MEASURES
from core.models.name import parsed
from core.params import checked, spelled, whole
from core.registry import unknown
from pages.ui.session import location, networks, parameters, state, visitors

MOST = 4  # classes side by side
LATE = 20  # addresses written before the last one that may still come back
OWNERS = (*EXPLAINERS, *MEASURES)  # of settings
# Parameters of the frame, on every page; on pages about units `layer` is the page's.
OWN = ("model", "img", "img-page", "img-window", "cls", "m", "set", "layer", "seed", "settle", "view", "present")


def adopt() -> None:
    """Apply the parameters of the address, which set everything in `OWN`, after Back, Forward and on the first visit.

    Names that do not exist add problems, which say what is shown instead. An address that this session wrote may come
    back late, with a click on what the browser had not drawn anew, and is not applied.
    """
    in_address = {name: st.query_params.get_all(name) for name in own() if name in st.query_params}
    context = get_script_run_ctx()
    returned = context is not None and context.is_history_navigation
    if not in_address or (in_address in st.session_state.get("addresses", []) and not returned):
        return
    used = parsed(location.current().model or location.first_model()).display
    name = in_address.get("model", [""])[0]
    known = not name or _take(lambda: _model(name), f"{used}, without the link's classes and layer")
    if "img" in in_address:
        location.go(image=in_address["img"][0])
    location.go(page=1, window=None)
    _take(lambda: _page(in_address.get("img-page", ["1"])[0]), "page 1")
    if "img-window" in in_address:
        _take(lambda: location.go(window=window_of(in_address["img-window"][0])), "the range of the image")
    _methods(in_address.get("m", [""])[0])
    st.session_state["settings"] = {
        owner: changed for owner, changed in st.session_state.get("settings", {}).items() if owner not in OWNERS
    }
    for text in in_address.get("set", []):
        _take(partial(_setting, text))
    location.go(seed=0, settle=False, present=False)
    _take(lambda: _seed(in_address.get("seed", ["0"])[0]))
    for switch in ("settle", "present"):
        _take(partial(_switch, switch, in_address.get(switch, ["false"])[0]))
    location.go(targets=())
    if "layer" in own():
        location.go(layer="")
    if known:  # classes and layers of another model mean nothing to this one
        _targets(in_address.get("cls", []))
        if "layer" in in_address:
            _take(lambda: _layer(in_address["layer"][0]), "the default layer")
    st.session_state["view"] = ""
    _take(lambda: _view(in_address.get("view", [""])[0]))


def own() -> tuple[str, ...]:
    """The parameters of the frame on the current page."""
    return tuple(name for name in OWN if name != "layer" or not parameters.about_units())


def query() -> str:
    """The query string of the session's location."""
    return urlencode([(name, value) for name, values in _own_parameters().items() for value in values])


def write() -> None:
    """Write the session's location to the address, leaving other parameters unchanged.

    At the first run the image strip does it (`address.js`): each message of Streamlit would add an entry to the
    browser's history until that script is there.
    """
    expected = _own_parameters()
    private = visitors.private()
    if "addresses" not in st.session_state:
        in_address = {name: st.query_params.get_all(name) for name in own() if name in st.query_params}
        st.session_state["addresses"] = [in_address, expected]
        return
    earlier = [address for address in st.session_state["addresses"] if address != expected]
    st.session_state["addresses"] = [*earlier[-LATE:], expected]
    for name in own():
        if name not in expected and name in st.query_params:
            del st.query_params[name]
    wanted = expected | {name: [text] for name, text in private.items()}
    if changed := {name: texts for name, texts in wanted.items() if st.query_params.get_all(name) != texts}:
        st.query_params.update(changed)
    _remember()


def repeat() -> None:
    """Write the address again, in the run of a fragment, if the browser shows none.

    Streamlit drops the last messages of a run when the run of a fragment begins just as it ends, and with them the
    address of a page that was opened a moment before.
    """
    context = get_script_run_ctx()
    if context is None or not context.fragment_ids_this_run:
        return
    page, written = st.session_state.get("written", ("", {}))
    if page == st.session_state.get("page") and written and not st.query_params:
        st.query_params.from_dict(written)
    else:
        _remember()


def _remember() -> None:
    """Note what the address of this page is."""
    written = {name: st.query_params.get_all(name) for name in st.query_params}
    st.session_state["written"] = (st.session_state.get("page"), written)


def _own_parameters() -> dict[str, list[str]]:
    here = location.current()
    changed = [f"{name}.{key}:{spelled(value)}" for name in OWNERS for key, value in location.settings(name).items()]
    found = {
        "model": [here.model],
        "img": [here.image],
        "img-page": [str(here.page)] if here.page > 1 else [],
        "img-window": ["{:.10g},{:.10g}".format(*here.window)] if here.window else [],
        "cls": [str(target) for target in here.targets],
        "m": [",".join(here.methods)],
        "set": changed,
        "layer": [here.layer],
        "seed": [str(here.seed)] if here.seed else [],
        "settle": ["true"] if here.settle else [],
        "present": ["1"] if here.present else [],
    }
    return {name: found[name] for name in own() if name in found and found[name] and found[name][0]}


def _take(step: Callable[[], object], instead: str = "") -> bool:
    """Apply a part of the address and return whether it is valid; a problem says what is wrong with it."""
    try:
        step()
    except VitrineError as error:
        _add_problem(error, instead)
        return False
    return True


def _add_problem(error: VitrineError, instead: str) -> None:
    kept = f"Shown instead: {instead}." if instead else "The other settings are kept."
    state.add_problem(f"This link: {error} {kept}")


def _model(name: str) -> None:
    if name != location.current().model and not networks.known(name):
        raise unknown("model", name, networks.listed())
    location.go(model=name)


def _methods(text: str) -> None:
    names = list(dict.fromkeys(filter(None, text.split(","))))
    methods = tuple(name for name in names if name in EXPLAINERS)
    location.go(methods=methods)
    for name in names:
        if name not in methods:
            _add_problem(unknown("method", name, EXPLAINERS), "" if methods else "the default methods")


def _setting(text: str) -> None:
    owner, _, rest = text.partition(".")
    name, colon, value = rest.partition(":")
    if not colon:
        raise BadParameter(f"{short(text)} is no setting.", "Write METHOD.SETTING:VALUE.")
    params = (MEASURES[owner] if owner in MEASURES else EXPLAINERS[owner]).params
    chosen = checked(params, {name: value}, owner)[name]
    if chosen != next(param.default for param in params if param.name == name):
        location.settings(owner)[name] = chosen


def _page(text: str) -> None:
    number = whole(text)
    if not number:
        raise BadParameter(f"The page cannot be {short(text)}.", "Give the number of a page.")
    location.go(page=number)


def _seed(text: str) -> None:
    location.go(seed=seed(text))


def _switch(name: str, text: str) -> None:
    if text not in parameters.SWITCHED:
        raise BadParameter(f"{name} cannot be {short(text)}.", "Use true or false.")
    location.go(**{name: parameters.SWITCHED[text]})


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
    chosen: dict[TargetName, None] = {}
    errors: list[VitrineError] = []
    for text in texts:
        try:
            chosen[linked_target(text, model)] = None
        except VitrineError as error:
            errors.append(error)
    for problem in errors:
        _add_problem(problem, "" if chosen else "the predicted class")
    if len(chosen) > MOST:
        surplus = ", ".join(shown(target.title(model.labels)) for target in list(chosen)[MOST:])
        state.add_problem(f"This link: {MOST} classes are shown at a time. Not shown: {surplus}.")
    location.go(targets=tuple(chosen)[:MOST])

"""The networks of a session: of the list, and of models that it opened; loaded now or in the background."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial

from core.data.model_options import ModelOptions
from core.environment import app_model, app_options, device
from core.errors import UnknownName
from core.jobs import Job
from core.models import MODELS, Model, load, names
from core.models.name import parsed
from core.progress import Report
from core.registry import unknown
from core.serialization import digest
from pages.ui.session import opened_models, visitors
from pages.ui.session.jobs import wait_for
from pages.ui.session.opened_models import OpenedModel
from pages.ui.session.shared_networks import shared_networks
from pages.ui.session.state import session, sessions

_SERVER = "server"  # the user of the networks that are held for the next visitor


def of(name: str, options: ModelOptions | None = None) -> Model:
    """A shared network, loaded now with a progress bar if missing.

    Its options are by default those of `vitrine app` for its model. Raises what `load` raises, and UnknownName for one
    that visitors from other machines cannot open.
    """
    model = _model(name)
    opened_models.touch(model)
    if options is not None and options != model.options:
        model = replace(model, options=options)
    return shared(_key(model), _title(model), partial(_load, model), held=_is_held(model))


def shared(key: Hashable, title: str, work: Callable[[Report], Model], *, held: bool = False) -> Model:
    """The network under a key of all sessions, made with a progress bar if missing. Raises what the work raises.

    One that is `held` stays in memory for the next visitor and does not count as one of the session's.
    """
    one = session()
    while True:
        job = shared_networks().request(key, _SERVER if held else one.owner, work, title)
        if not held:
            one.networks.use(key)
        wait_for(job, lambda: one.networks.release(key))
        if job.result is not None:  # else it was cancelled by an earlier run of this session that ended only now
            return job.result


def begin(model: OpenedModel) -> Job[Model]:
    """Start to open a model in the background, or join the sessions that wait for it."""
    user = _SERVER if _is_held(model) else session().owner
    return shared_networks().request(_key(model), user, partial(_load, model), _title(model))


def give_up(model: OpenedModel) -> None:
    """Wait no longer for a model; it is not opened if nobody else waits."""
    shared_networks().release(_key(model), session().owner)


def adopt(model: OpenedModel) -> None:
    """Add a model to those of this session."""
    if not _is_held(model):
        session().networks.use(_key(model))
    before = session().models.get(model.name)
    if before and before != model:  # the same file with other options
        session().networks.release(_key(before))
    if model.name not in listed():
        session().models[model.name] = model
        opened_models.remember(model)


def close(name: str) -> None:
    """Remove a model from those of this session, with its uploaded files unless another tab has it open."""
    if model := session().models.pop(name, None):
        session().networks.release(_key(model))
        if model not in [other.models.get(name) for other in sessions()]:
            opened_models.forget(model)


def others_in_memory(name: str) -> tuple[int, int]:
    """The number and bytes of the networks that this session holds beside a model."""
    found = [network for key in _others(name) if (network := shared_networks().peek(key))]
    return len(found), sum(network.memory for network in found)


def release_others(name: str) -> None:
    """Release the networks of this session except one; they are loaded again when they are needed."""
    session().networks.release(*_others(name))


def loaded(name: str) -> Model | None:
    """A shared network that is loaded already, else None."""
    try:
        return shared_networks().peek(_key(_model(name)))
    except UnknownName:
        return None


def listed() -> tuple[str, ...]:
    """The models that everybody can select; the one of `vitrine app --model` comes first."""
    return tuple(dict.fromkeys(filter(None, (app_model(), *names()))))


def selectable() -> tuple[str, ...]:
    """The models that this session can select: those of everybody, and those that it opened."""
    return tuple(dict.fromkeys((*session().models, *listed())))


def known(name: str) -> bool:
    """Whether a name is of a model that this session may select, also one that its user opened before a reload."""
    return name in listed() or name in session().models or opened_models.recalled(name) is not None


def options_of(name: str) -> ModelOptions:
    """The options of a model that was opened with some, or of `vitrine app` for its own; else the defaults."""
    try:
        return _model(name).options
    except UnknownName:
        return ModelOptions()


def loadable(name: str) -> str:
    """The name by which this server loads a model: with the stored path of an uploaded file."""
    return _model(name).loads


def _model(name: str) -> OpenedModel:
    """A model by its name. Raises UnknownName for one that visitors from other machines cannot open."""
    if name in listed():
        options = ModelOptions.checked(**app_options()) if name == app_model() else ModelOptions()
        return OpenedModel(name, name, options)
    if found := session().models.get(name) or opened_models.recalled(name):
        return session().models.setdefault(name, found)
    if visitors.shared():
        raise unknown("model", parsed(name).display, listed())
    return OpenedModel(name, name)


def _others(name: str) -> list[Hashable]:
    """The keys of this session's networks beside that of a model."""
    try:
        current = _key(_model(name))
    except UnknownName:
        current = None
    return [key for key in session().networks.keys if key != current]


def _title(model: OpenedModel) -> str:
    return f"Opening {parsed(model.name).display}"


def _is_held(model: OpenedModel) -> bool:
    """Whether a network stays in memory for the next visitor: the app's own, and the bundled ones, which are small."""
    own = model.name == app_model() or (model.name in MODELS and MODELS[model.name].source == "bundled")
    return own and model == _model(model.name)


def _key(model: OpenedModel) -> Hashable:
    return model.loads, digest(model.options)


def _load(model: OpenedModel, report: Report) -> Model:
    loaded = load(model.loads, device(), report, model.options)
    if model.loads == model.name:
        return loaded
    return replace(loaded, name=model.name, options=model.shown_options)

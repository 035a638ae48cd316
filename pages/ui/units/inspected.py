"""The layer whose units a page shows: of the open study's model, or of the current model without a study."""

from dataclasses import dataclass, replace
from functools import cached_property

from core.data.model_options import ModelOptions, options_of
from core.errors import VitrineError
from core.network.inspection import Layer
from core.study import Study
from core.workbench import Workbench
from pages.ui.session import location, networks, parameters, state
from pages.ui.study import open_study


@dataclass(frozen=True)
class Inspected:
    """A layer of a model, and the study of that model if one is open."""

    study: Study | None
    layer: str
    problem: str = ""  # why the model cannot be opened: only the study's own layer is known then

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.study.manifest.model.name if self.study else location.current().model

    @property
    def options(self) -> ModelOptions:
        """The options with which the model is opened."""
        return options_of(self.study.manifest.settings) if self.study else networks.options_of(self.name)

    @property
    def sha(self) -> str:
        """The hash of the model's weights."""
        return self.study.manifest.model.sha if self.study else self.bench.model.sha

    @property
    def of_study(self) -> bool:
        """Whether the layer is the one that the study is about."""
        return self.study is not None and self.study.manifest.model.layer == self.layer

    @cached_property
    def bench(self) -> Workbench:
        """The workbench of the model. Raises what loading it raises."""
        return _bench(self.study)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers with positions in the order of the network; none if the model cannot be opened."""
        return () if self.problem else self.bench.model.survey.usable

    @property
    def facts(self) -> Layer | None:
        """The facts of the layer; None if the model cannot be opened."""
        return next((one for one in self.layers if one.name == self.layer), None)

    @property
    def default(self) -> str:
        """The layer that is shown until another one is chosen."""
        return self.study.manifest.model.layer if self.study else self.bench.model.resolve_layer()

    @property
    def units(self) -> int:
        """The number of units of the layer."""
        if facts := self.facts:
            return facts.units
        return self.study.manifest.model.filters if self.study else 0


def current() -> Inspected:
    """What the page shows. Raises Unsupported for a model without any layer that has positions."""
    study, problem = open_study.selected(alone=True), ""
    try:
        model = _bench(study).model
        names = [layer.name for layer in model.survey.usable]
        default = study.manifest.model.layer if study else model.resolve_layer()
    except VitrineError as error:
        if study is None:
            raise
        problem, default = str(error), study.manifest.model.layer
        names = [default]
    choice = parameters.choice("Layer", names, "layer", default=default)
    if not problem:
        choice = replace(choice, read=model.resolve_layer)
    layer = choice.value()
    parameters.keep("layer", layer, default)
    return Inspected(study, layer, problem)


def choose(layer: str) -> None:
    """Show the units of another layer, in a callback."""
    parameters.put("layer", layer)


def _bench(study: Study | None) -> Workbench:
    if study is None:
        return location.bench()
    return Workbench(open_study.model(study), state.session().cache)

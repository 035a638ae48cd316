"""Networks of the user's own code: a function of a file or module that builds one."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from core.data.model_options import ModelOptions
from core.errors import BadModel, VitrineError, brief
from core.images import Preprocess
from core.models.checkpoint import opened
from core.models.name import ModelName
from core.models.source import Source, SourceNetwork
from core.models.sources.trust import refuse_untrusted
from core.models.weights import fit
from core.params import expanded
from core.progress import Report

SETTINGS = ("labels", "channels", "size", "resize", "crop", "mean", "std", "interpolation", "fit", "output")
_WAY = "Return a network, or a pair of it and a dictionary such as {'labels': […], 'size': 224}."


def build(name: ModelName, chosen: ModelOptions, report: Report) -> SourceNetwork:
    """The network that the function returns, and what it says about it.

    Raises Unavailable if nobody named the code on the command line, BadModel for code that fails or returns no network.
    """
    report(0.0, "running your code")
    given, code = returned(name)
    net, settings = _read(given, name)
    adapted: list[str] = []
    if name.separator:
        report(0.5, "reading weights")
        with opened(expanded(name.file), chosen.weight_set) as checkpoint:
            net, adaptation = fit(net, checkpoint, name.function)
        adapted = adaptation.notes
    labels = settings.pop("labels", ())
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise BadModel(f"{name.display} returns labels that are not a list of texts.", _WAY)
    options = _checked(settings, name)
    side, four = options.size or options.crop or 224, 4 in {len(options.mean), len(options.std)}
    own = Preprocess(side, side).fed("alpha" if four and options.channels == "auto" else "rgb")
    preprocess, notes = own.changed(options)
    facts = {"source": "own code", "notes": [*adapted, *(note.rstrip(".") for note in notes)]}
    return SourceNetwork(net, tuple(labels), preprocess, options.output, facts, code)


def returned(name: ModelName) -> tuple[Any, str]:
    """The value that the function of a name returns, and the hash of its file.

    Raises Unavailable if the code was not named on the command line, BadModel for code that fails.
    """
    refuse_untrusted(name)
    function, code = _function(name)
    try:
        return function(), code
    except VitrineError:
        raise
    except Exception as error:
        raise _failed(name, error) from error


def _function(name: ModelName) -> tuple[Callable[[], Any], str]:
    """The function that a name refers to, and the hash of its file."""
    module = _module(name)
    found = getattr(module, name.function, None)
    if not callable(found):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        own = [key for key in names if getattr(vars(module)[key], "__module__", "") == module.__name__]
        hint = f"It has {', '.join(own[:5])}." if own else "Define a function that returns a network."
        raise BadModel(f"{name.display} names no function: there is no {name.function}.", hint)
    file = getattr(module, "__file__", None)
    return found, hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


def _module(name: ModelName) -> ModuleType:
    """The module of a name, imported: from its file, or as Python finds it from the current folder."""
    path = name.code_file
    if path is not None and not path.is_file():
        raise BadModel(f"There is no file {path}.", "Check the path.")
    folder = str(path.resolve().parent if path else Path.cwd())
    if folder not in sys.path:  # for what it imports from beside it, now or when the network runs
        sys.path.append(folder)
    try:
        if path is None:
            return importlib.import_module(name.module)
        spec = importlib.util.spec_from_file_location(f"vitrine_own_{path.stem}", path)
        if spec is None or spec.loader is None:
            raise BadModel(f"{path} is no file of Python.", "Check the path.")
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = loaded  # dataclasses and pickles look their module up
        spec.loader.exec_module(loaded)
    except VitrineError:
        raise
    except ModuleNotFoundError as error:
        if path is None and error.name and f"{name.module}.".startswith(f"{error.name}."):
            raise BadModel(f"There is no module {name.module}.", "Start in the folder that contains it.") from error
        raise _failed(name, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error
    return loaded


def _failed(name: ModelName, error: BaseException) -> BadModel:
    """An error of the user's code: its own last line."""
    text = " ".join(str(error).split())
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return BadModel(f"{name.display} fails with {brief(said, 150)}.", "`vitrine --traceback …` shows where.")


def _read(given: object, name: ModelName) -> tuple[nn.Module, dict[str, Any]]:
    """The network and the settings that a function returned."""
    pair = given if isinstance(given, tuple) and len(given) == 2 else (given, {})
    net, settings = pair
    if not isinstance(net, nn.Module):
        what = f"the class {net.__name__}" if isinstance(net, type) else f"a value of type {type(net).__name__}"
        raise BadModel(f"{name.display} returns {what}, not a network.", _WAY)
    if not isinstance(settings, Mapping):
        raise BadModel(f"{name.display} returns {type(settings).__name__} beside the network.", _WAY)
    unknown = [str(key) for key in settings if key not in SETTINGS]
    if unknown:
        hint = f"Settings are {', '.join(SETTINGS)}."
        raise BadModel(f"{name.display} returns the unknown setting {brief(unknown[0], 40)!r}.", hint)
    return net, dict(settings)


def _checked(settings: Mapping[str, Any], name: ModelName) -> ModelOptions:
    """The settings of a function as options of a model."""
    numbers = {key: (value,) if isinstance(value, int | float) else value for key, value in settings.items()
               if key in ("mean", "std")}  # fmt: skip
    try:
        return ModelOptions.checked(**{**settings, **numbers})
    except VitrineError as error:
        raise BadModel(f"{name.display} returns settings that do not fit: {error.message}", error.hint) from error


SOURCE = Source("own code", build)

"""Explanations in notebooks: one map, or several methods side by side, as arrays, images and files."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from io import BytesIO, StringIO
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from core.card import Budget
from core.door.networks import ImageLike, bench_of, picture_from, target_from
from core.edits.apply import edited, scaled
from core.edits.edit import read_all
from core.environment import seed as checked_seed
from core.errors import BadParameter, Unsupported, VitrineError
from core.explain import EXPLAINERS, Explanation
from core.explain.target_name import TargetName
from core.export import Answers, figure, npy, table, tile, unwritable, write
from core.files import atomic_write
from core.images import Picture
from core.models import Model
from core.params import expanded
from core.progress import printed
from core.registry import unknown
from core.workbench import Answer, Request, Workbench

Target = str | int  # a class index, "predicted", or a text: a label, "red+blue", "red-blue", "layer4:17"
ARGUMENTS = ("target", "layer", "seed", "budget", "settle", "edits")  # of `compare`, besides settings of methods


class Map:
    """One method's map for one target, such as a class, of an image; displays itself in a notebook.

    >>> import numpy as np, vitrine as vt
    >>> model = vt.load("flowers-single-6c")
    >>> found = vt.explain(model, vt.examples()["single-violet"], "grad_cam")
    >>> found
    Map(grad_cam, 'violet', 128 × 128)
    >>> found.values.dtype, np.asarray(found).shape
    (dtype('float32'), (128, 128))
    """

    def __init__(self, model: Model, picture: Picture, request: Request, explanation: Explanation) -> None:
        self.method = request.name
        self.target = _public(request.target)  # the class index, of other targets their text in numbers
        self.label = request.target.title(model.labels)
        self.explanation = explanation  # how the map was made: scores, settings, layer, seed, passes, seconds
        self._made_of = (model, picture, request)

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """The raw map, (H, W) float32 at the model's input size: not normalised, negative for negative evidence."""
        return self.explanation.maps[0].numpy().copy()

    @property
    def note(self) -> str:
        """Why the map is blank, as a sentence; "" for a map with something to see."""
        return self.explanation.note()

    def image(self) -> Image.Image:
        """The map over the photo with its colour bar, as a Pillow image.

        >>> import vitrine as vt
        >>> model = vt.load("flowers-single-6c")
        >>> vt.explain(model, vt.examples()["single-violet"], "saliency").image().mode
        'RGB'
        """
        return _opened(self._repr_png_())

    def show(self) -> None:
        """Show the map in the notebook, or in the system's image viewer."""
        _show(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the map and return the path: `.png` for the image, `.npy` for the raw values.

        >>> import vitrine as vt
        >>> model = vt.load("flowers-single-6c")
        >>> vt.explain(model, vt.examples()["single-violet"], "saliency").save("violet.npy").name
        'violet.npy'
        """
        file = expanded(Path(path))
        render = {".png": self._repr_png_, ".npy": lambda: npy(self.explanation)}.get(file.suffix.lower())
        if render is None:
            raise BadParameter(
                f"{file.name} ends neither in .png nor in .npy.", "Choose the picture or the raw values."
            )
        _written(file, render())
        return file

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.values, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        height, width = self.explanation.maps.shape[-2:]
        return f"Map({self.method}, {self.label!r}, {height} × {width})"

    def _repr_png_(self) -> bytes:
        return self._png

    @cached_property
    def _png(self) -> bytes:
        model, picture, request = self._made_of
        return tile(Workbench(model), picture, [(request, self.explanation)], request)


class Comparison(Mapping[str, Map]):
    """Maps of several methods for one image, by method; displayed side by side in a notebook.

    For several classes, `maps[method]` is the map of the first one and `maps[method, target]` that of any class. A
    method that failed on this image is missing; `failed` gives the reason.

    >>> import vitrine as vt
    >>> model = vt.load("flowers-single-6c")
    >>> maps = vt.compare(model, vt.examples()["single-violet"], ["saliency", "cam"], target=["violet", "red"])
    >>> maps
    Comparison(saliency, cam; 'violet', 'red'; single-violet.png)
    >>> list(maps), maps["cam"].label, maps["cam", "red"].label
    (['saliency', 'cam'], 'violet', 'red')
    """

    def __init__(self, model: Model, picture: Picture, answers: Answers, seed: int = 0) -> None:
        self._names = tuple(dict.fromkeys(request.target for request, _ in answers))
        self.targets = tuple(map(_public, self._names))  # as requested: class indices, and texts of other targets
        self.failed = {request.name: str(one) for request, one in answers if not isinstance(one, Explanation)}
        self._model, self._picture, self._answers, self._seed = model, picture, answers, seed
        self._maps = {
            (request.name, request.target): Map(model, picture, request, one)
            for request, one in answers
            if isinstance(one, Explanation)
        }

    def __getitem__(self, key: str | tuple[str, Target]) -> Map:
        method, target = key if isinstance(key, tuple) else (key, None)
        name = self._names[0] if target is None else target_from(self._model, target)
        if one_map := self._maps.get((method, name)):
            return one_map
        if name not in self._names:
            titles = [one.title(self._model.labels) for one in self._names]
            raise unknown("class in this comparison", str(target), titles)
        if method in self.failed:
            raise Unsupported(f"{EXPLAINERS[method].title} gave no map here: {self.failed[method]}")
        raise unknown("method in this comparison", str(method), self)

    def __contains__(self, key: object) -> bool:
        return any(key in (name, (name, one.target), (name, one.label)) for (name, _), one in self._maps.items())

    def __iter__(self) -> Iterator[str]:
        return (method for method, target in self._maps if target == self._names[0])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def table(self) -> pd.DataFrame:
        """A row for each map: score, probability, range, layer, passes, seconds, settings.

        >>> import vitrine as vt
        >>> model = vt.load("flowers-single-6c")
        >>> maps = vt.compare(model, vt.examples()["single-violet"], ["saliency", "cam"])
        >>> maps.table()["label"].to_list()
        ['violet', 'violet']
        """
        return pd.read_csv(StringIO(self._csv()), keep_default_na=False)

    def image(self) -> Image.Image:
        """All maps side by side, a row for each class, as a Pillow image.

        >>> import vitrine as vt
        >>> model = vt.load("flowers-single-6c")
        >>> maps = vt.compare(model, vt.examples()["single-violet"], ["saliency", "cam"])
        >>> maps.image().width > maps["cam"].image().width
        True
        """
        return _opened(self._repr_png_())

    def show(self) -> None:
        """Show the maps in the notebook, or in the system's image viewer."""
        _show(self)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the files of `vitrine explain` and `maps.csv` into a folder; returns the folder.

        `maps.npz` contains the raw maps, `figure.png` all of them side by side, one PNG file per map, and
        `result.json` how they were made. Images of an earlier result in the folder are deleted, other files stay.

        >>> import vitrine as vt
        >>> model = vt.load("flowers-single-6c")
        >>> maps = vt.compare(model, vt.examples()["single-violet"], ["saliency", "cam"])
        >>> sorted(file.name for file in maps.save("out/violet").iterdir())
        ['cam-4.png', 'figure.png', 'maps.csv', 'maps.npz', 'result.json', 'saliency-4.png']
        """
        target_folder = expanded(Path(folder))
        write(target_folder, Workbench(self._model), self._picture, self._answers, self._seed)
        _written(target_folder / "maps.csv", self._csv().encode())
        return target_folder

    def __repr__(self) -> str:
        labels = ", ".join(repr(target.title(self._model.labels)) for target in self._names)
        return f"Comparison({', '.join(self)}; {labels}; {self._picture.name})"

    def _repr_png_(self) -> bytes:
        return self._png

    @cached_property
    def _png(self) -> bytes:
        return figure(Workbench(self._model), self._picture, self._answers)

    def _csv(self) -> str:
        return table(Workbench(self._model), [(self._picture, self._answers)], self._seed)


def explain(
    model: Model,
    image: ImageLike,
    method: str,
    *,
    target: Target = "predicted",
    layer: str = "",
    seed: int = 0,
    budget: Budget = "standard",
    settle: bool = False,
    edits: str | Iterable[str] = (),
    **settings: object,
) -> Map:
    """One method's map for one class; the method's settings are keywords, such as `masks=500`.

    The other arguments are those of `compare`.

    >>> import vitrine as vt
    >>> model = vt.load("flowers-single-6c")
    >>> vt.explain(model, vt.examples()["single-violet"], "rise", target="red", masks=100)
    Map(rise, 'red', 128 × 128)
    """
    method = EXPLAINERS[str(method)].name
    chosen: dict[str, Any] = {method: settings}
    maps = compare(
        model, image, [method], target=target, layer=layer, seed=seed, budget=budget, settle=settle,
        edits=edits, **chosen,
    )  # fmt: skip
    return maps[method]


def compare(
    model: Model,
    image: ImageLike,
    methods: str | Iterable[str],
    *,
    target: Target | Iterable[Target] = "predicted",
    layer: str = "",
    seed: int = 0,
    budget: Budget = "standard",
    settle: bool = False,
    edits: str | Iterable[str] = (),
    **settings: Mapping[str, object],
) -> Comparison:
    """Maps of several methods for an image and one class, or several; `vitrine.methods()` lists the methods.

    `image` is a path, a file's bytes, a Pillow image, or a uint8 array (H, W, 3). `target` is a label, a class index,
    "predicted", a difference "violet-red", a group "violet+red", a unit "relu4:7", or a list of these; a text that is a
    label and could mean another class, or several, means the label, with a warning. Settings of a method are given
    under its name: `rise={"masks": 500}`; `budget` (quick, standard or paper) sets all others. `layer` is where
    activations are read (default: the last spatial layer); `settle` stops a method early when its map has converged.
    `edits` change the image or filters first, as `vitrine explain --edit` does: "box=10,20,40,30:blur", or
    "filters=relu4:43,57*0" to ablate two of them. Raises `VitrineError` before any work for requests that the model
    does not support.

    >>> import vitrine as vt
    >>> model = vt.load("flowers-single-6c")
    >>> photo = vt.examples()["single-violet"]
    >>> maps = vt.compare(model, photo, ["grad_cam", "rise"], target="violet", rise={"masks": 100})
    >>> {method: one.values.shape for method, one in maps.items()}
    {'grad_cam': (128, 128), 'rise': (128, 128)}
    >>> vt.compare(model, photo, "saliency", target="red", edits="filters=relu4:7*0")
    Comparison(saliency; 'red'; single-violet.png)
    """
    wanted_edits = read_all([edits] if isinstance(edits, str) else edits)
    model = scaled(bench_of(model).model, wanted_edits)
    bench = bench_of(model)
    names = [EXPLAINERS[str(name)].name for name in ([methods] if isinstance(methods, str) else dict.fromkeys(methods))]
    if not names:
        raise BadParameter("No method is named.", "Name at least one; vitrine.methods() lists them.")
    chosen = _settings(names, budget, settings)
    for name in names:
        if reason := EXPLAINERS[name].unmet(model):
            raise Unsupported(reason, "Leave it out, or choose another model.")
    if layer:
        model.resolve_layer(layer)
    number = checked_seed(seed)
    wanted = [one if one == "predicted" else target_from(model, one) for one in _targets(target)]
    picture = edited(picture_from(image), wanted_edits, picture_from)
    targets = dict.fromkeys(one if isinstance(one, TargetName) else bench.target(picture, one) for one in wanted)
    requests = bench.requests({name: chosen[name] for name in names}, targets, [layer] if layer else [], settle=settle)
    results: dict[str, Answer] = {}

    def done(request: Request, answer: Answer) -> None:
        results[request.key] = answer

    bench.compare(picture, requests, done, seed=number, report=printed(sys.stderr))
    answers = [(request, results[request.key]) for request in requests]
    first = answers[0][1]
    if isinstance(first, VitrineError) and all(isinstance(answer, VitrineError) for _, answer in answers):
        raise first
    return Comparison(model, picture, answers, number)


def methods(model: Model | None = None) -> pd.DataFrame:
    """The methods of explanation with their default settings, a row for each; given a model, also why one cannot work.

    >>> import vitrine as vt
    >>> vt.methods().loc["rise", "settings"]["masks"]
    1000
    >>> works = vt.methods(vt.load("flowers-single-6c"))["reason"] == ""
    >>> bool(works["grad_cam"])
    True
    """
    rows = {
        name: {
            "title": method.title,
            "family": method.family,
            "summary": method.summary,
            "source": method.source,
            "settings": method.defaults,
        }
        for name, method in EXPLAINERS.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")
    return table if model is None else table.assign(reason=pd.Series(bench_of(model).usable()))


def _settings(
    names: Iterable[str], budget: Budget, given: Mapping[str, Mapping[str, object]]
) -> dict[str, dict[str, Any]]:
    """Settings of each method: those of the budget, updated with the given ones, validated."""
    chosen = {name: EXPLAINERS[name].budget(budget) for name in names}
    for name, values in given.items():
        if name not in EXPLAINERS:
            raise unknown("argument or method", name, (*ARGUMENTS, *EXPLAINERS))
        if name not in chosen:
            raise BadParameter(f"Settings of {name} are given, and it is not asked for.", f"Add {name} to the methods.")
        if not isinstance(values, Mapping):
            setting = next((param.name for param in EXPLAINERS[name].params), "setting")
            raise BadParameter(f"{name} cannot be {values!r}.", f'Give its settings as {name}={{"{setting}": …}}.')
        chosen[name] |= {str(setting): value for setting, value in values.items()}
    for name, values in chosen.items():
        EXPLAINERS[name].chosen(values)
    return chosen


def _targets(target: Target | Iterable[Target]) -> list[Target]:
    """The requested classes, as labels, indices or "predicted"."""
    several = [target] if isinstance(target, str | Integral) or not isinstance(target, Iterable) else list(target)
    if not several:
        raise BadParameter("No class is named.", 'Give a label, an index or "predicted".')
    named = [int(one) if isinstance(one, Integral) and not isinstance(one, bool) else str(one) for one in several]
    return ["predicted" if isinstance(one, str) and one.casefold() == "predicted" else one for one in named]


def _public(target: TargetName) -> int | str:
    return str(target) if target.index is None else target.index


def _opened(png: bytes) -> Image.Image:
    with Image.open(BytesIO(png)) as image:
        image.load()
        return image


def _show(shown: Map | Comparison) -> None:
    """Display it as the result of a notebook's cell, elsewhere in a window."""
    python = sys.modules.get("IPython")
    shell = python.get_ipython() if python else None
    if python and getattr(shell, "kernel", None):  # IPython in a terminal has none
        python.display.display(shown)
    else:
        shown.image().show()


def _written(file: Path, content: bytes) -> None:
    try:
        with atomic_write(file) as opened:
            opened.write(content)
    except OSError as error:
        raise unwritable(file, error) from None

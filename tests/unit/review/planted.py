"""Planted predictions and small folders, for tests of reviews."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from core.data.image_folder import contents
from core.review.predictions import Predictions
from core.review.schema import PREDICTIONS
from core.review.source import Source
from core.store.facts import DataFacts, ModelFacts
from core.store.writer import writing
from tests.nets import SIDE


def picture(seed, side=SIDE):
    """A picture of coloured noise in blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return np.kron(blocks, np.ones((side // 8, side // 8, 1), np.uint8))


def folder(root, **counts):
    """A folder of pictures, so many for each class folder; _ in a name stands for a space."""
    for number, (name, count) in enumerate(counts.items()):
        place = root / name.replace("_", " ")
        place.mkdir(parents=True)
        for index in range(count):
            Image.fromarray(picture([number, index])).save(place / f"{index:02d}.png")
    return root


def source_of(root, paths, labels):
    """A source with these labels, whatever its folders are called."""
    shas = tuple(contents(Path(root), paths))
    return Source("planted", "k" * 64, Path(root), tuple(paths), tuple(labels), shas)


def planted(home, label, probabilities, *, names=(), output="softmax", threshold=0.5, pooled=None, pictures=None):
    """Stored predictions that say what they are told: classes (N,), -1 unknown, and probabilities (N, C)."""
    probabilities, label = np.asarray(probabilities, np.float64), np.asarray(label)
    count, classes = probabilities.shape
    names = names or tuple(f"class {index}" for index in range(classes))
    order = np.argsort(-probabilities, axis=1, kind="stable")
    if output == "sigmoid":
        order = np.where(probabilities[:, [1]] > threshold, [[1, 0]], [[0, 1]])
    ranked = np.take_along_axis(probabilities, order, 1)
    known = label >= 0
    right = np.where(known, order[:, 0] == label, -1)
    if output == "multilabel":
        right = np.where(known, probabilities[np.arange(count), label] > threshold, -1)
    paths = [f"{index:03d}.png" for index in range(count)]
    images = pd.DataFrame({
        "image": range(count), "path": paths, "label": label, "predicted": order[:, 0], "confidence": ranked[:, 0],
        "margin": np.abs(ranked[:, 0] - ranked[:, 1]),
        "truth": np.where(known, probabilities[np.arange(count), label], np.nan),
        "rank": np.where(known, (order == label[:, None]).argmax(1), -1), "right": right.astype(np.int64),
        "problem": "",
    })  # fmt: skip
    top = min(5, classes)
    arrays = {
        "top": order[:, :top].astype(np.int32),
        "logits": np.log(ranked[:, :top].clip(1e-30)).astype(np.float32),
        "probabilities": ranked[:, :top].astype(np.float32),
        "thumbnails": np.zeros((count, 8, 8, 3), np.uint8) if pictures is None else np.asarray(pictures, np.uint8),
    }
    if pooled is not None:
        arrays["pooled"] = np.asarray(pooled, np.float32)
    path = home / "planted"
    with writing(PREDICTIONS, path, {"planted": [probabilities.tolist(), label.tolist()]}) as draft:
        draft.write_table("images", [images])
        draft.write_table("classes", [pd.DataFrame({"label": range(classes), "name": names})])
        for name, array in arrays.items():
            draft.write_array(name, [array])
        facts = {"model": ModelFacts("net", "s" * 64, output), "data": DataFacts(str(home), "f")}
        draft.finish({**facts, "threshold": threshold, "layer": "", "versions": {}}, {"seconds": {}, "finished": ""})
    source = Source("planted", "k" * 64, home, tuple(paths), tuple(label.tolist()), ("",) * count)
    return Predictions(path, source)

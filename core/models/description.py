"""A description of a loaded network in sentences: preprocessing, output, layers, activations and normalisation."""

from collections import Counter
from collections.abc import Iterable, Mapping

from core.models.model import Model
from core.network.inspection import RELUS, SMOOTH, Layer, Survey


def described(model: Model) -> dict[str, str]:
    """Preprocessing, output and components of a network, as one sentence per heading."""
    survey = model.survey
    return {
        **({"Assumed": " ".join(model.notes)} if model.notes else {}),
        "Input": prepared(model),
        "Output": output(model),
        "Operations": ", ".join(survey.operations),
        "Activations": _activations(survey.operations),
        "Normalisation": _normalisation(survey),
        "In place": _in_place(model.overwrote, survey.overwrites),
        "Called more than once": _reused(survey.reused),
        "End": _end(survey.head),
    }


def prepared(model: Model) -> str:
    """The preparation of an image, and whether it is the model's own."""
    changed = "; changed from the model's own" if model.options.prepares else ""
    height, width = model.preprocess.size
    return f"{height} × {width} pixels; {model.preprocess}{changed}"


def output(model: Model) -> str:
    """The meaning of the outputs."""
    count = len(model.labels)
    if model.output == "softmax":
        return f"softmax over {count:,} classes, of which one is predicted"
    if model.output == "sigmoid":
        return f"one logit, read through a sigmoid: {model.labels[1]} above {model.threshold:g}, else {model.labels[0]}"
    if model.output == "multilabel":
        return f"{count:,} labels, each with its own sigmoid; all above {model.threshold:g} are predicted"
    return f"{count:,} value{'s' * (count > 1)}, of no class (regression)"


def _end(head: str) -> str:
    return f"global average pooling and the linear layer {head}" if head else "not just pooling and one linear layer"


def _activations(operations: Iterable[str]) -> str:
    relus, smooth = (", ".join(one for one in operations if one in kind) for kind in (RELUS, SMOOTH))
    if not (relus and smooth):
        return relus or smooth or "none"
    return f"{relus}, {smooth}; guided backprop and deconvnet leave {smooth} as in the plain gradient"


def _normalisation(survey: Survey) -> str:
    if not survey.norms:
        return "none"
    kinds, folded = _counted(layer.kind for layer in survey.norms), len(survey.folded)
    if not folded:
        return kinds
    which = "all" if folded == len(survey.norms) else f"{folded} of them"
    return f"{kinds}; {which} folded into the layer before for LRP and excitation backprop"


def _in_place(before: Mapping[str, int], still: Mapping[str, int]) -> str:
    parts = []
    if before:
        parts.append(f"{_counted(Counter(before).elements())} until loading switched it off")
    if still:
        parts.append(f"{_counted(Counter(still).elements())} in the network's own code: what is captured is a copy")
    return "; ".join(parts) or "nothing"


def _reused(layers: Iterable[Layer]) -> str:
    return ", ".join(f"{layer.name} ({layer.kind}) × {layer.calls}" for layer in layers) or "nothing"


def _counted(words: Iterable[str]) -> str:
    return ", ".join(f"{word} × {count}" for word, count in Counter(words).items())

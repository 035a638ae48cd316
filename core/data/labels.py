"""Labels of classes: their lookup by label, number or WordNet id, in folders, and in files that list them."""

import codecs
import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

from core.environment import limit
from core.errors import BadModel, BadParameter, UnknownName
from core.files import read_bytes
from core.params import expanded, whole
from core.registry import unknown
from core.resources import ASSETS

WORDNET_IDS = ASSETS / "imagenet_wordnet_ids.txt"

_FORMATS = "Write one label per line in the order of the classes, as UTF-8."
_NUMBERED = re.compile(r"[{\s]*(\d{1,9})\s*[:;,\t ]\s*(\S.*?)\s*")
_QUOTED = re.compile(r"""(["'])(.*)\1\s*,?\s*}?""")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_JSON_KEYS = ("labels", "classes", "names", "categories", "id2label", "label2id", "class_to_idx")


def class_index(wanted: str | int, labels: Sequence[str], owner: str) -> int:
    """The index of the class given by `wanted`; `owner` names the holder of the labels in messages.

    In this order: a label in its exact spelling, an index, a label whatever its case, spaces, "-" and "_", the WordNet
    id of an ImageNet class. An int is always an index. Raises BadParameter, naming the indices, for a label
    that several classes have, UnknownName with the nearest labels for anything else.
    """
    text = str(wanted)
    exact = [] if isinstance(wanted, int) else [i for i, label in enumerate(labels) if label == text]
    if exact:
        return _only(exact, text)
    index = whole(text)
    if index is not None and index < len(labels):
        return index
    if index is not None or isinstance(wanted, int):
        raise UnknownName(f"There is no class {text}.", f"{owner} has classes 0 to {len(labels) - 1}.")
    if alike := [i for i, label in enumerate(labels) if folded(label) == folded(text)]:
        return _only(alike, text)
    if re.fullmatch(r"n\d{8}", text):
        ids = WORDNET_IDS.read_text("ascii").split()  # in the order of the classes
        if len(ids) == len(labels) and text in ids:
            return ids.index(text)
    raise unknown("class", text, labels)


def class_note(wanted: str, labels: Sequence[str]) -> str:
    """A sentence for a text that is the label of one class and the number of another; "" for any other text."""
    number = whole(wanted)
    if number is None or number >= len(labels) or wanted not in labels or labels[number] == wanted:
        return ""
    taken = labels.index(wanted)
    return f"'{wanted}' is the label of class {taken}; class number {number} is {labels[number]}; the label was taken."


def class_text(index: int, labels: Sequence[str]) -> str:
    """A text that `class_index` reads as this class: its number, or its label where the number is another's label."""
    return labels[index] if str(index) in labels and labels[index] != str(index) else str(index)


def namesake(label: str, labels: Sequence[str], index: int | None = None) -> int | None:
    """The class called `label` among these, perhaps another model's; None if none, or several, are called so.

    `index` is its number where it comes from: it decides between classes of equal labels.
    """
    if index is not None and index < len(labels) and labels[index] == label:
        return index
    for same in (str, folded):
        found = [number for number, one in enumerate(labels) if same(one) == same(label)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def folder_classes(names: Sequence[str], labels: Sequence[str]) -> tuple[dict[str, int], dict[str, str]]:
    """The class index of each folder of these names, and the reasons of those that match no class.

    Folders named by number match only together: one whose number no class has shows that they count otherwise, as from
    one, and then none of them is matched.
    """
    classes, reasons = dict[str, int](), dict[str, str]()
    for name in names:
        try:
            classes[name] = class_index(name, labels, "The model")
        except UnknownName:
            reasons[name] = no_class(name)
        except BadParameter as error:
            reasons[name] = error.message
    made_up = all(label == f"class {index}" for index, label in enumerate(labels))
    numbers = {name: _number(name, made_up) for name in names if made_up or name not in labels}
    numbered = {name: number for name, number in numbers.items() if number is not None}
    if reason := _misnumbered(list(numbered.values()), names, labels):
        reasons |= dict.fromkeys(numbered, reason)
    return {name: index for name, index in classes.items() if name not in reasons}, reasons


def no_class(name: str) -> str:
    """The reason why a folder matches no class if the model has none of its name."""
    return f"The model has no class {name}."


def labels_file(file: str | PathLike[str], outputs: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels in a file in the order of the classes, and what was assumed about it, as sentences.

    It is plain text, CSV or JSON, with numbers or without. A network with one output has the labels of its two sides,
    or that of the second one. Raises BadModel if the file cannot be read or does not have as many labels as the model
    has classes.
    """
    path = expanded(Path(file))
    text, notes = _text(path)
    if path.suffix.lower() == ".json":
        names = _from_json(path.name, text)
    elif path.suffix.lower() in (".csv", ".tsv"):
        names = _from_rows(path.name, text, "\t" if path.suffix.lower() == ".tsv" else ",", outputs)
    else:
        lines = tuple(line.strip() for line in re.split(r"\r\n|\r|\n", text) if line.strip())
        names = _from_lines(lines)
        if names != lines:
            notes = (*notes, f"The lines of {path.name} are numbered, and the labels were taken in this order.")
    if len(names) != outputs and (outputs > 1 or len(names) not in (1, 2)):
        classes = f"{outputs} classes" if outputs > 1 else "one output: give one label or two"
        message = f"{path.name} holds {len(names)} label{'s' * (len(names) != 1)}, the model has {classes}."
        raise BadModel(message, "Write one label per line, in the order of the classes.")
    return names, notes


def sides(labels: Sequence[str]) -> tuple[str, str]:
    """The labels of the two sides of one logit, from both or from that of the positive one."""
    return (labels[0], labels[1]) if len(labels) == 2 else (f"not {labels[0]}", labels[0])


def _only(indices: Sequence[int], text: str) -> int:
    if len(indices) > 1:
        message = f"The label {text!r} is shared by the classes {' and '.join(map(str, indices[:4]))}."
        raise BadParameter(message, "Give the number of the one you mean.")
    return indices[0]


def folded(label: str) -> str:
    """A label without what does not matter for its lookup: case, repeated spaces, "-" and "_"."""
    return re.sub(r"[\s_-]+", " ", label).strip().casefold()


def _number(name: str, made_up: bool) -> int | None:
    """The number that a folder is named by, also as "class_3" where the labels are such numbers themselves."""
    return whole(folded(name).removeprefix("class").strip() if made_up else name)


def _misnumbered(numbers: Sequence[int], names: Sequence[str], labels: Sequence[str]) -> str:
    """The reason why folders of these numbers cannot be matched by number; "" if they can."""
    if not numbers:
        return ""
    last = len(labels) - 1
    if max(numbers) > last:
        counted = " and seem to count from 1" if 0 not in numbers and max(numbers) == last + 1 else ""
        return (
            f"Folders are numbered {min(numbers)} to {max(numbers)}{counted}, the model's classes 0 to {last}: name "
            "them by label."
        )
    if any(whole(name) is not None and name in labels for name in names):
        return "The model's labels are numbers themselves, and it has none of this name."
    return ""


def _text(path: Path) -> tuple[str, tuple[str, ...]]:
    """The text of a file in UTF-8, in UTF-16 or UTF-32 with its mark, or in Windows-1252, which is said."""
    try:
        content = read_bytes(path, limit("text"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its path is not valid"
        message = f"The labels file {str(path)[-200:]!r} cannot be opened: {reason}."
        raise BadModel(message, "Check its path.") from None
    encodings = [name for mark, name in _MARKS if content.startswith(mark)][:1] or ["utf-8", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeError:
            continue
        if not re.search(r"[\x00-\x08\x0e-\x1a]", text):
            guessed = encoding == "cp1252"
            return text, (f"{path.name} is not UTF-8 and was read as Windows-1252.",) if guessed else ()
    raise BadModel(f"{path.name} is not a text file.", _FORMATS)


def _from_lines(lines: Sequence[str]) -> tuple[str, ...]:
    """A label per line; in the order of the numbers where each line begins with one."""
    pairs = [(int(match[1]), _unquoted(match[2])) for match in map(_NUMBERED.fullmatch, lines) if match]
    # "1 euro" and "2 euro" are labels, not numbered ones: without their numbers they would be the same.
    if lines and len({name for _, name in pairs}) == len(lines) and (names := _in_order(pairs)):
        return names
    return tuple(lines)


def _unquoted(text: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    return quoted[2] if quoted else text


def _in_order(pairs: Iterable[tuple[int, str]]) -> tuple[str, ...]:
    """Names in the order of their numbers, which count from 0 or from 1; () if they do not."""
    ordered = sorted(pairs)
    numbers = [number for number, _ in ordered]
    counted = numbers in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))
    return tuple(name for _, name in ordered) if counted else ()


def _from_rows(file: str, text: str, delimiter: str, outputs: int) -> tuple[str, ...]:
    """The labels in a table: in its one column, or in the first column of texts, ordered by one of numbers."""
    try:
        rows = [
            [cell.strip() for cell in row] for row in csv.reader(re.split(r"\r\n|\r|\n", text), delimiter=delimiter)
        ]
    except csv.Error as error:
        raise BadModel(f"{file} is not a table of labels ({error}).", _FORMATS) from None
    rows = [row for row in rows if any(row)]
    width = max(map(len, rows), default=0)
    if width == 1:
        header = len(rows) == max(outputs, 2) + 1 and folded(rows[0][0]) in {"label", "name", "class", "class name"}
        return tuple(row[0] for row in rows[header:])
    columns = list(zip(*(row + [""] * (width - len(row)) for row in rows), strict=True))
    body = 1 if all(whole(cells[0]) is None for cells in columns) else 0
    numbers = next((cells[body:] for cells in columns if all(whole(cell) is not None for cell in cells[body:])), None)
    names = next((cells[body:] for cells in columns if not any(whole(cell) is not None for cell in cells[body:])), None)
    ordered = _in_order((int(n), name) for n, name in zip(numbers, names, strict=True)) if numbers and names else ()
    if not ordered:
        raise BadModel(f"{file} has no column of labels with one of their numbers, from 0 on.", _FORMATS)
    return ordered


def _from_json(file: str, text: str) -> tuple[str, ...]:
    """A list of labels, an object with numbers as keys or values, or either under a usual key of a description."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise BadModel(f"{file} is not complete JSON.", _FORMATS) from None
    if isinstance(content, Mapping):
        content = next((content[key] for key in _JSON_KEYS if isinstance(content.get(key), Mapping | list)), content)
    if isinstance(content, list) and content and all(isinstance(name, str) for name in content):
        return tuple(content)
    pairs = list(map(_pair, content.items())) if isinstance(content, Mapping) else []
    ordered = _in_order(pair for pair in pairs if pair) if None not in pairs else ()
    if not ordered:
        raise BadModel(f"{file} is neither a list of labels nor an object of labels and their numbers.", _FORMATS)
    return ordered


def _pair(item: tuple[str, object]) -> tuple[int, str] | None:
    """Number and label of an entry of an object: {"cat": 0}, {"0": "cat"}, or {"0": ["n02123045", "tabby"]}."""
    key, value = item
    if isinstance(value, int) and not isinstance(value, bool):
        return value, key
    number = whole(key)
    name = value[-1] if isinstance(value, list) and value else value
    return (number, name) if number is not None and isinstance(name, str) else None

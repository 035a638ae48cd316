"""Hostile settings: values of every kind for every setting, of methods, measures and studies."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from core.card import Card
from core.data.model_options import ModelOptions
from core.explain import EXPLAINERS
from core.measure import MEASURES
from core.params import params_of
from core.serialization import dump, load
from core.study.config import MiningConfig, PatchConfig, StudyConfig, TransactionConfig, validated
from tests.hostile.forked import Case

_TEXTS = (
    "", " ", "nan", "inf", "-inf", "1e400", "9" * 5000, "-0", "1_0", "٣", "½", "0x1", "1,2,,3", "1;2", "true", "None",
    "\0", "\udcff", "\u202e", "a" * 10_000, "../..", "/dev/zero", "layer4:17", "[1]", "{}", "%s%n", "$(id)",
)  # fmt: skip
_OTHERS = (
    None, True, False, -1, 0, 1, 2**63, -(2**63), 10**400, 0.5, -0.0, float("nan"), float("inf"), b"x", (), [], [[]],
    {}, {"a": 1}, [float("nan")], [1] * 1000, object(),
)  # fmt: skip


def cases(count: int) -> list[Case]:
    """This many cases for the worker."""
    return [(f"setting {seed}", partial(_tried, seed)) for seed in range(count)]


def _value(draw: random.Random) -> Any:
    kind = draw.randrange(4)
    if kind == 0:
        return draw.choice(_TEXTS)
    if kind == 1:
        return draw.choice(_OTHERS)
    if kind == 2:
        return str(draw.uniform(-10, 10))
    return "".join(
        chr(draw.choice((draw.randrange(32, 127), draw.randrange(0x3000)))) for _ in range(draw.randrange(9))
    )


def _tried(seed: int) -> None:
    """Give some settings of one owner values by chance."""
    draw = random.Random(seed)
    owners: list[Callable[[random.Random], None]] = [_card, _card, _options, _study]
    draw.choice(owners)(draw)


def _card(draw: random.Random) -> None:
    cards: list[Card] = [*EXPLAINERS.values(), *MEASURES.values()]
    card = draw.choice(cards)
    names = [param.name for param in card.params] or ["none"]
    card.chosen({draw.choice((draw.choice(names), "unknown", "")): _value(draw) for _ in range(draw.randint(1, 3))})


def _options(draw: random.Random) -> None:
    names = [param.name for param in params_of(ModelOptions)]
    ModelOptions.checked(**{draw.choice(names): _value(draw) for _ in range(draw.randint(1, 3))})


def _study(draw: random.Random) -> None:
    content = dump(StudyConfig("flowers-single-6c", "data"))
    for _ in range(draw.randint(1, 3)):
        part = draw.choice((content, content["patches"], content["transactions"], content["mining"]))
        if isinstance(part, dict) and part:
            part[draw.choice([*part, "unknown"])] = _value(draw)
    parts = {"patches": PatchConfig, "transactions": TransactionConfig, "mining": MiningConfig}
    for name, kind in parts.items():
        load(kind, content[name])
    validated(load(StudyConfig, content))

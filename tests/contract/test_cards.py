"""What every card holds, whatever it is the card of: methods, measures and analyses of units."""

import subprocess
import sys

import pytest

from core.card import BUDGETS
from core.errors import BadParameter, UnknownName
from core.explain import EXPLAINERS
from core.measure import MEASURES
from core.params import spelled
from core.units.store import ANALYSES  # not from its own module: this one imports every analysis
from tests import nets
from tests.bench.measuring import ROOT

CARDS = {**EXPLAINERS, **MEASURES, **ANALYSES}


@pytest.fixture(params=CARDS)
def card(request):
    return CARDS[request.param]


def test_names_are_not_shared():
    assert len(CARDS) == len(EXPLAINERS) + len(MEASURES) + len(ANALYSES)
    assert all(name == card.name for name, card in CARDS.items())


def test_every_analysis_can_be_stored():
    """In a process of its own, as others may have imported an analysis before."""
    code = (
        "from core.units.store import ANALYSES, BUILT\n"
        "assert [run.__name__ for run in BUILT] == list(ANALYSES), list(ANALYSES)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_it_is_complete(card):
    assert card.summary.endswith(".")
    assert "\n" not in card.summary
    assert len(card.about) > 60
    for text in (card.title, card.family, card.formula, card.caution, card.source):
        assert text
    assert all(param.knob.help.endswith(".") for param in card.params)
    assert card.passes(nets.quick(card), 224).weight >= 0


@pytest.mark.parametrize("budget", BUDGETS)
def test_budgets_are_settings_it_takes(card, budget):
    chosen = card.chosen(card.budget(budget))
    assert list(chosen) == [param.name for param in card.params]
    assert chosen == {**card.defaults, **card.budget(budget)}
    assert card.passes(chosen, 224).weight >= card.passes(nets.quick(card), 224).weight


def test_settings_are_read_from_texts(card):
    texts = {name: spelled(value) for name, value in card.defaults.items()}
    assert card.chosen(texts) == card.defaults


def test_what_it_does_not_take_is_refused(card):
    with pytest.raises(UnknownName, match=f"no setting of {card.name}"):
        card.chosen({"no_such_setting": 1})
    with pytest.raises(BadParameter, match="no budget called 'lavish'"):
        card.budget("lavish")


@pytest.mark.parametrize("budget", BUDGETS)
def test_budgets_are_settings_that_a_form_can_show(card, budget):
    """Within the range of the setting, and on its steps."""
    for param in card.params:
        low, step, value = param.knob.low, param.knob.step, card.budget(budget).get(param.name)
        if value is not None and low is not None and step is not None:
            steps = (value - low) / step
            assert steps == pytest.approx(round(steps), abs=1e-9), param.name

"""Options of commands, declared by a card or by any function with settings."""

from argparse import ArgumentParser

import pytest

from core.commands import chosen, options
from core.errors import BadParameter
from core.explain import EXPLAINERS
from core.measure import MEASURES
from core.study.config import StudyConfig


def read(source, *words, prefix=""):
    parser = ArgumentParser()
    options(parser, source, prefix)
    return chosen(parser.parse_args(words), source, "owner", prefix.replace("-", "_"))


def test_a_measures_settings_are_options():
    assert read(MEASURES["agreement"]) == {"magnitude": False}
    assert read(MEASURES["agreement"], "--measure-magnitude", prefix="measure-") == {"magnitude": True}


@pytest.mark.parametrize("card", [*EXPLAINERS.values(), *MEASURES.values()], ids=lambda card: card.name)
def test_defaults_come_back_from_their_texts(card):
    assert read(card) == card.defaults


def test_a_list_of_numbers_is_one_word():
    method = EXPLAINERS["extremal_perturbation"]
    assert read(method, "--areas", "0.05,0.1")["areas"] == (0.05, 0.1)
    with pytest.raises(BadParameter, match=r"--areas cannot be '0.05,2'\. Each number must lie between 0 and 1\."):
        read(method, "--areas", "0.05,2")
    with pytest.raises(BadParameter, match=r"areas cannot be 0\.0"):  # what only all settings together tell
        read(method, "--areas", "0")


def test_a_file_is_completed_as_one(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    parser = ArgumentParser()
    options(parser, StudyConfig)
    metavars = {action.dest: action.metavar for action in parser._actions}
    assert (metavars["labels"], metavars["layer"], metavars["seed"]) == ("FILE", "LAYER", "INT")
    assert read(StudyConfig, "--labels", "~/names.txt")["labels"] == "/home/someone/names.txt"

import numpy as np
import pandas as pd

from core.figures import charts


def test_ablation_shows_every_class_once_in_each_way():
    table = pd.DataFrame(
        {
            "name": ["a", "b"],
            "filters": [3, 5],
            "baseline": [1.0, 0.9],
            "mined": [0.1, 0.4],
            "random_mean": [1.0, 0.8],
            "random_std": [0.0, 0.1],
        }
    )
    figure = charts.ablation(table)
    points = {trace.name: dict(zip(trace.y, trace.x, strict=True)) for trace in figure.data if trace.name}
    assert points["rule filters removed"] == {"a": 0.1, "b": 0.4}
    assert points["all filters"] == {"a": 1.0, "b": 0.9}
    assert points["random filters removed"] == {"a": 1.0, "b": 0.8}
    random = next(trace for trace in figure.data if trace.name == "random filters removed")
    assert dict(zip(random.y, random.error_x.array, strict=True)) == {"a": 0.0, "b": 0.1}
    assert len({trace.marker.symbol for trace in figure.data if trace.name}) == 3


def test_answers_count_everything_once_and_name_the_strongest_classes():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 20)
    values = rng.random(160) + labels
    figure = charts.responses(values, labels, [f"<{k}>" for k in range(8)])
    assert sum(sum(trace.y) for trace in figure.data) == 160
    assert [trace.name for trace in figure.data] == ["<7>", "<6>", "<5>", "<4>", "all others"]
    assert all("<7>" not in trace.hovertemplate for trace in figure.data)
    assert len({trace.marker.pattern.shape for trace in figure.data[:4]}) == 4


def test_switched_shows_both_for_each_class():
    figure = charts.switched({"cat": 0.9, "dog": 0.1}, {"cat": 0.2, "dog": 0.8})
    assert [list(trace.x) for trace in figure.data] == [[0.9, 0.1], [0.2, 0.8]]
    assert figure.data[0].text == ("90.0%", "10.0%")

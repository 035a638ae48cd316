"""Class profiles, the map and the table of units, against loops, scikit-learn and planted units."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from core.errors import Unsupported
from core.network.hooks import capture
from core.study import BUNDLED, Study
from core.units.analysis import Subject, analyse
from core.units.build import build_analysis
from core.units.config import UnitsConfig
from core.units.overview import Profiles, projected, unit_table
from tests import nets
from tests.planted_units import LAYERS, UNITS, InMemory, planted_images, planted_model

DEAD = UNITS.index("dead")


def of_means(means, dead=()):
    """Profiles with these means, of ten images per class."""
    means = np.array(means, float)
    return Profiles(
        means,
        tuple(f"c{k}" for k in range(means.shape[1])),
        np.full(means.shape[1], 10),
        np.isin(np.arange(len(means)), dead),
    )


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The four analyses of the planted network, of the same images."""
    root = tmp_path_factory.mktemp("stores")
    data = str(planted_images(40).write(root / "data"))
    settings = {"dissection": {"quantile": 0.02}, "profiles": {"classes": "true"}}
    return {
        name: build_analysis(
            UnitsConfig(analysis=name, model="planted", data=data, layers=LAYERS, settings=settings.get(name, {})),
            root / name,
            model=planted_model(),
        )
        for name in ("activating", "dissection", "profiles", "relevance")
    }


@pytest.mark.parametrize("classes", ["predicted", "true"])
def test_profiles_are_means_over_positions_and_images_of_a_class(classes):
    model, layers = nets.model("gap"), ("features.1", "features.4")
    images, labels = nets.images(40), [[0, 2, 4, -1][number % 4] for number in range(40)]  # two shards
    found = analyse("profiles", Subject(model, layers, InMemory(images, labels), batch=7), {"classes": classes})
    with torch.no_grad(), capture(model.net, *layers) as outputs:
        logits = model.net(images)
    of = labels if classes == "true" else logits.argmax(1).tolist()
    assert found.tables["classes"]["label"].tolist() == sorted({label for label in of if label >= 0})
    assert found.tables["classes"]["images"].tolist() == [of.count(k) for k in found.tables["classes"]["label"]]
    row = 0
    for layer in layers:
        for maps in outputs[layer].transpose(0, 1):
            for column, label in enumerate(found.tables["classes"]["label"]):
                values = [float(one.double().mean()) for one, own in zip(maps, of, strict=True) if own == label]
                assert found.arrays["profiles"][row, column] == pytest.approx(sum(values) / len(values), abs=1e-6)
            unit = found.tables["units"].iloc[row]
            assert (unit["lowest"], unit["highest"]) == pytest.approx((float(maps.min()), float(maps.max())), abs=1e-6)
            row += 1
    assert row == len(found.tables["units"])
    left = of.count(-1)
    assert found.notes == ((f"{left} images without a class of the model are in no profile.",) if left else ())


def test_profiles_do_not_depend_on_the_batch_size_beyond_rounding():
    model, images = nets.model("gap"), InMemory(nets.images(40))
    one, other = (analyse("profiles", Subject(model, ("features.4",), images, batch=n)) for n in (1, 16))
    np.testing.assert_allclose(one.arrays["profiles"], other.arrays["profiles"], rtol=1e-5, atol=1e-7)


def test_every_planted_unit_responds_most_to_its_class(stores):
    profiles = Profiles.of_store(stores["profiles"], "relu")
    assert [profiles.classes[one] for one in profiles.best[:4]] == ["red", "blue", "edge", "cross"]
    assert profiles.selectivity[:2].tolist() == [1.0, 1.0]
    assert np.flatnonzero(profiles.dead).tolist() == [DEAD]
    assert Profiles.of_store(stores["profiles"], "conv") is None


def test_images_without_a_class_are_refused():
    with pytest.raises(Unsupported, match="None of the images has a class"):
        analyse("profiles", Subject(planted_model(), ("relu",), InMemory(nets.images(3, 32))), {"classes": "true"})


def test_profiles_of_a_study_are_means_of_what_it_keeps_by_predicted_class():
    study = Study(BUNDLED / "flowers-double-12c")
    profiles, images = Profiles.of_study(study), study.table("images")
    pooled, predicted = study.array("pooled"), images["predicted"].tolist()
    assert profiles.classes == tuple(study.labels[k] for k in sorted(set(predicted)))
    for column, label in enumerate(sorted(set(predicted))):
        rows = [row for row, own in enumerate(predicted) if own == label]
        assert profiles.images[column] == len(rows)
        np.testing.assert_allclose(profiles.means[:, column], sum(pooled[row] for row in rows) / len(rows), rtol=1e-5)


def test_selectivity_is_how_much_the_best_class_exceeds_the_mean_of_the_others():
    found = of_means([[3, 1, 1], [0, 0, 5], [2, 2, 2], [-1, -3, -3], [0, 0, 0]])
    assert found.best.tolist() == [0, 2, 0, 0, 0]
    assert found.selectivity.tolist() == pytest.approx([(3 - 1) / (3 + 1), 1, 0, (-1 + 3) / (1 + 3), 0])
    assert of_means([[1], [2]]).selectivity is None


def test_likeness_is_the_correlation_of_two_profiles():
    means = np.random.default_rng(2).random((6, 7))
    means[4] = 3.0
    found = of_means(means).likeness(2)
    for unit in (0, 1, 2, 3, 5):
        assert found[unit] == pytest.approx(np.corrcoef(means[unit], means[2])[0, 1])
    assert np.isnan(found[4])
    assert np.isnan(of_means(means).likeness(4)).all()


def test_the_map_is_the_principal_components_of_scaled_profiles():
    rng = np.random.default_rng(0)
    means = rng.random((30, 6))
    means[3], means[7] = 4.0, 0.0  # one that responds to all classes alike, one that is dead
    found = projected(of_means(means, dead=[7]))
    assert found.units.tolist() == [unit for unit in range(30) if unit not in (3, 7)]
    assert (found.dead, found.flat) == (1, 1)
    rows = means[found.units] - means[found.units].mean(1, keepdims=True)
    rows /= np.sqrt((rows**2).sum(1, keepdims=True))
    expected = PCA(2, svd_solver="full").fit(rows)
    np.testing.assert_allclose(np.abs(found.places), np.abs(expected.transform(rows)), atol=1e-12)
    assert found.shares == pytest.approx(tuple(expected.explained_variance_ratio_))
    back = projected(of_means(means[::-1], dead=[22]))
    np.testing.assert_allclose(back.places[::-1], found.places, atol=1e-9)  # signs too


def test_only_the_shape_of_a_profile_counts():
    means = np.random.default_rng(1).random((8, 5))
    means[6], means[7] = 10 * means[0] + 3, means[1] / 100
    found = projected(of_means(means))
    np.testing.assert_allclose(found.places[6:], found.places[:2], atol=1e-9)


@pytest.mark.parametrize(
    ("means", "units", "shares"),
    [
        ([[1, 2], [5, 1], [0, 3]], 3, (1, 0)),  # with two classes there is one direction
        ([[1], [2]], 0, (0, 0)),
        ([[1, 2, 4]], 1, (0, 0)),
        ([[1, 2, 4], [1, 2, 4]], 2, (0, 0)),
    ],
)
def test_a_map_of_few_classes_or_units_has_no_further_axes(means, units, shares):
    found = projected(of_means(means))
    assert found.places.shape == (units, 2)
    assert found.shares == pytest.approx(shares, abs=1e-12)
    assert np.isfinite(found.places).all()


def test_the_table_has_only_what_is_known(stores):
    bare = unit_table("relu", 6)
    assert list(bare) == ["unit"]
    assert bare["unit"].tolist() == list(range(6))
    assert list(unit_table("relu", 6, stores=[stores["activating"]])) == ["unit", "dead", "highest"]
    assert list(unit_table("conv", 6, stores=stores.values())) == ["unit"]  # a layer that none of them read


def test_the_table_joins_all_analyses(stores):
    table = unit_table(
        "deep", 6, profiles=Profiles.of_store(stores["profiles"], "deep"), stores=stores.values()
    ).set_index("unit")
    assert table.loc[DEAD, "dead"]
    assert table.loc[DEAD, "class"] == ""
    assert table["dead"].sum() == 1
    assert table["class"].tolist()[:4] == ["red", "blue", "edge", "cross"]
    own = stores["activating"].tables["units"]
    assert table["highest"].tolist() == own.loc[own["layer"] == 1, "highest"].tolist()
    dissected = stores["dissection"].tables
    for unit, row in dissected["units"][dissected["units"]["layer"] == 1].set_index("unit").iterrows():
        assert table.loc[unit, "iou"] == row["iou"]
        assert table.loc[unit, "concept"] == (
            dissected["concepts"]["name"][row["concept"]] if row["concept"] >= 0 else ""
        )
    weights = stores["relevance"].tables["weights"]
    weights = weights[(weights["layer"] == 1) & (weights["weight"] > 0)]
    assert len(weights)
    for unit, rows in weights.groupby("unit"):
        names = [UNITS[label] for label in rows.sort_values("weight", ascending=False)["label"]]
        assert table.loc[unit, "relevant for"] == ", ".join(names[:3]) + (
            f" and {len(names) - 3} more" if len(names) > 3 else ""
        )
        assert table.loc[unit, "weight"] == rows["weight"].max()
    assert table.loc[DEAD, "relevant for"] == ""
    assert table.loc[DEAD, "weight"] == 0


def test_the_table_has_rules_and_patches_of_the_study():
    study = Study(BUNDLED / "flowers-double-12c")
    table = unit_table(study.manifest.model.layer, study.manifest.model.filters, study=study)
    assert list(table) == ["unit", "patches", "rules"]
    used = [number for filters in study.table("rules")["filters"] for number in filters]
    assert table["rules"].tolist() == [used.count(number) for number in range(len(table))]
    items = study.array("items")
    assert table["patches"].tolist() == [int((items == number).any(1).sum()) for number in range(len(table))]

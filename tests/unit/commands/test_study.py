"""`vitrine study` from end to end on the smallest data."""

import csv
import json
import shutil

import numpy as np
import pytest

from core.cli import main
from core.data import flowers
from core.study import BUNDLED, Study
from tests import small_study
from tests.tiny_build import deep

NAME = "flowers-single-6c"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A study of twelve flowers and one file that is no image."""
    root = tmp_path_factory.mktemp("cli")
    flowers.write("single-6c", root / "data", per_class=2, seed=5)
    (root / "data" / "images" / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nx")
    words = ["study", "build", "--model", NAME, "--data", str(root / "data"), "--out", str(root / "s")]
    assert main([*words, "--mining-least", "1", "--patch-count", "3", "--patch-sampling", "dense"]) == 0
    return root


def told(capsys, *words, code=0):
    assert main(["study", *map(str, words)]) == code
    out, err = capsys.readouterr()
    assert err.count("\n") <= (code != 0)
    return err if code else out


def test_a_report_is_written(built, capsys):
    out = built / "report.html"
    assert told(capsys, "report", built / "s", "--out", out) == f"{out}: report of s\n"
    assert "<h1>Study s</h1>" in out.read_text("utf-8")
    assert "filters ablated" not in out.read_text("utf-8")
    assert told(capsys, "report", built / "s", "--out", out, "--ablate") == f"{out}: report of s\n"
    assert "<h2>Accuracy with filters ablated</h2>" in out.read_text("utf-8")
    assert "Add --ablate" in told(capsys, "report", built / "s", "--out", out, "--data", built / "data", code=2)
    assert "cannot be written" in told(capsys, "report", built / "s", "--out", built / "no" / "r.html", code=2)


def test_build_takes_every_setting_and_is_not_done_twice(built, capsys):
    study = Study(built / "s")
    assert study.config["patches"]["sampling"] == "dense"
    assert study.config["patches"]["count"] == 3
    assert study.config["mining"]["least"] == 1
    words = ["build", "--model", NAME, "--data", built / "data", "--out", built / "s"]
    again = told(capsys, *words, "--mining-least", 1, "--patch-count", 3, "--patch-sampling", "dense")
    assert "13 images" in again
    assert "skipped red/broken.png: " in again
    assert "contains a study with other settings" in told(capsys, *words, code=2)


def test_info_tells_what_it_is_made_of(built, capsys):
    text = told(capsys, "info", built / "s", "--verify")
    images = Study(built / "s").table("images").query("problem == ''")
    counts = images["patches"].value_counts().sort_index()
    assert "patches of an image: " + ", ".join(f"{count} in {of}" for count, of in counts.items()) in text
    assert "no more, since the score hardly changed any more: " in text
    assert "no longer there" not in text
    assert "flowers-single-6c, layer relu4 (128 filters)" in text
    assert "13 images" in text
    passes = Study(built / "s").manifest.passes
    assert f"{passes.forwards} forward + 12 backward, {passes.forwards - 12} of the forward with patches masked" in text
    facts = json.loads(told(capsys, "info", built / "s", "--json"))
    assert facts["data"]["skipped"] == 1
    assert facts["kept"] == {str(count): of for count, of in counts.items()}
    assert facts["stop"] == images["stop"].value_counts().to_dict()
    assert facts["log"]["seconds"]


def test_images_are_found_from_any_folder_and_what_is_left_out_is_told(built, capsys, tmp_path, monkeypatch):
    shutil.copytree(built / "data" / "images" / "red", tmp_path / "here" / "fl" / "red")
    (tmp_path / "here" / "fl" / "red" / "phone.heic").write_bytes(b"\0\0\0\x14ftypheic\0\0\0\0mif1")
    monkeypatch.chdir(tmp_path / "here")
    words = ["build", "--model", NAME, "--data", "fl", "--out", "s", "--patch-count", 1, "--mining-least", 1]
    assert "left out: HEIC images, which are not read (phone.heic): 1" in told(capsys, *words)
    monkeypatch.chdir("/")
    text = told(capsys, "info", tmp_path / "here" / "s")
    assert f"3 images from {tmp_path}/here/fl, " in text
    assert "left out: HEIC images, which are not read (phone.heic): 1" in text
    assert "no longer there" not in text
    gone = min((tmp_path / "here" / "fl" / "red").glob("0*.png"))
    gone.unlink()
    assert f"1 of the images are missing, such as red/{gone.name}" in told(capsys, "info", tmp_path / "here" / "s")


def test_rules_and_shared_sets_can_be_mined_anew(built, capsys):
    text = told(capsys, "rules", built / "s", "--class", "red", "--best", "1")
    assert "red" in text
    assert "blue" not in text
    rules = json.loads(told(capsys, "rules", built / "s", "--json"))
    assert {"filters", "support", "confidence", "score", "lift", "n_both"} <= set(rules[0])
    one = json.loads(told(capsys, "rules", built / "s", "--json", "--best", "1"))
    assert len(one) == 6
    nothing = told(capsys, "rules", built / "s", "--confidence", "1", "--least", "1000")
    assert nothing == "No results with these settings.\n"


@pytest.fixture
def planted(built, tmp_path):
    """The study with two filters in every patch: one of its class alone, and number 120."""
    study = Study(built / "s")
    items = np.full_like(study.array("items"), -1)
    items[:, 0], items[:, 1] = study.table("patches")["label"], 120
    return small_study.edited(study, tmp_path / "planted", items).path


def test_shared_sets_name_the_classes_that_share_them(planted, capsys, tmp_path):
    study = Study(planted)
    labels = sorted(set(study.table("patches")["label"].tolist()))
    assert len(labels) > 1
    assert told(capsys, "shared", planted, "--sharing", "rules") == "No results with these settings.\n"
    wide = ["--sharing", "itemsets"]
    assert told(capsys, "shared", planted, "--support", "1", *wide) == "No results with these settings.\n"
    (only,) = json.loads(told(capsys, "shared", planted, "--support", "1", "--no-strict", *wide, "--json"))
    assert (only["filters"], only["size"], sorted(only["labels"]), only["supports"]) == (
        [120], 1, labels, [1.0] * len(labels),
    )  # fmt: skip
    assert only["n_all"] == len(study.table("patches"))
    first, second = (study.labels[label] for label in labels[:2])
    text = told(capsys, "shared", planted, "--class", first, *wide).splitlines()
    assert len(text) == 2
    assert text[1].split()[:2] == ["120", str(len(labels))]
    assert second in text[1]
    rules = json.loads(told(capsys, "rules", planted, "--json"))
    assert [rule["filters"] for rule in rules] == [[label, 120] for label in labels]
    items = study.array("items")
    apart = small_study.edited(study, tmp_path / "apart", np.where(items == 120, -1, items)).path
    assert told(capsys, "shared", apart, *wide) == "No results with these settings.\n"


def test_sets_in_rules_of_several_classes_are_shown_first(planted, capsys):
    words = ["shared", planted, "--json", "--sets", "all", "--no-fold", "--no-strict"]
    (narrow,) = json.loads(told(capsys, *words))
    assert [narrow] == json.loads(told(capsys, *words, "--sharing", "itemsets"))
    assert (narrow["filters"], sorted(narrow["labels"])) == (
        [120], sorted(set(Study(planted).table("patches")["label"].tolist())),
    )  # fmt: skip
    best = json.loads(told(capsys, "rules", *words[1:], "--best", "1"))
    assert all(rule["filters"] == [rule["label"], 120] for rule in best)
    assert json.loads(told(capsys, *words, "--best", "1")) == [], "frequent in several classes, but in no rule of two"
    assert json.loads(told(capsys, *words, "--best", "1", "--sharing", "itemsets")) == [narrow]


def test_a_class_with_too_many_itemsets_is_named_and_the_others_are_shown(built, capsys, tmp_path):
    study = Study(built / "s")
    labels = study.table("patches")["label"].to_numpy()
    large = labels == np.bincount(labels).argmax()
    items = np.full_like(study.array("items"), -1)
    items[:, 0] = labels
    items[large, : min(12, items.shape[1])] = np.arange(min(12, items.shape[1]))
    path = small_study.edited(study, tmp_path / "large", items).path
    words = ["rules", path, "--sets", "all", "--filters", "12", "--limit", "100", "--max-size", "12", "--json"]
    name = study.labels[int(labels[large][0])]
    assert main(["study", *map(str, words)]) == 0
    out, err = capsys.readouterr()
    assert err == f"vitrine: Skipped, as they have more than 100 frequent filter sets: {name}.\n"
    assert {rule["label"] for rule in json.loads(out)} == set(labels.tolist()) - {int(labels[large][0])}
    assert f"The class {name} has more than 100" in told(capsys, *words, "--no-skip-large", code=2)


def test_random_sets_have_ten_filters_as_in_the_paper_or_as_many_as_the_rules(built, capsys):
    words = ["ablate", built / "s", "--draws", "2"]
    assert " without 10.0 random filters" in told(capsys, *words)
    facts = json.loads(told(capsys, *words, "--random-filters", "0", "--json"))
    assert facts["random_filters"] == facts["filters_per_class"]
    assert json.loads(told(capsys, *words, "--random-filters", "3", "--json"))["random_filters"] == 3


def test_more_filters_than_the_study_keeps_are_refused(built, capsys):
    kept = Study(built / "s").array("items").shape[1]
    for command in ("rules", "shared", "ablate"):
        said = told(capsys, command, built / "s", "--filters", kept + 1, code=2)
        assert (
            f"mining.filters cannot be {kept + 1}. The study keeps {kept} filters of each patch. Use 1 to {kept}."
            in (said)
        )
    assert told(capsys, "rules", built / "s", "--filters", kept)


def test_patches_are_listed_and_written_as_csv(built, capsys, tmp_path):
    rule = json.loads(told(capsys, "rules", built / "s", "--json", "--best", "1", "--class", "red"))[0]
    filters = ",".join(map(str, rule["filters"]))
    listed = json.loads(told(capsys, "patches", built / "s", "--filters", filters, "--class", "red", "--json"))
    assert len(listed) >= rule["n_both"]
    assert [one["drop"] for one in listed] == sorted((one["drop"] for one in listed), reverse=True)
    told(capsys, "patches", built / "s", "--csv", tmp_path / "p.csv")
    with (tmp_path / "p.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(Study(built / "s").table("patches"))


@pytest.mark.parametrize("command", ["info", "rules", "shared", "patches", "ablate"])
def test_every_reader_gives_the_same_rows_as_json_and_as_csv_and_of_one_class(planted, capsys, tmp_path, command):
    more = {"ablate": ["--draws", "2"], "shared": ["--sharing", "itemsets"]}
    words = [command, planted, *more.get(command, [])]
    told(capsys, *words, "--csv", tmp_path / "t.csv")
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    facts = json.loads(told(capsys, *words, "--json"))
    if command == "info":
        assert len(rows) == len(Study(planted).labels)
        assert [row["name"] for row in rows] == list(Study(planted).labels)
    else:
        listed = facts["per_class"] if command == "ablate" else facts
        assert len(rows) == len(listed) > 0
        for row, one in zip(rows, listed, strict=True):
            assert set(row) == set(one)
            for name, value in one.items():
                written = " ".join(map(str, value)) if isinstance(value, list) else str(value)
                assert (float(row[name]) == pytest.approx(value)) if isinstance(value, float) else row[name] == written
    told(capsys, *words, "--class", "red", "--csv", tmp_path / "one.csv")
    with (tmp_path / "one.csv").open() as file:
        own = list(csv.DictReader(file))
    assert 0 < len(own) <= len(rows)
    told(capsys, *words, "--class", str(Study(planted).labels.index("red")), "--csv", tmp_path / "same.csv")
    assert (tmp_path / "same.csv").read_text() == (tmp_path / "one.csv").read_text()
    if command == "shared":
        assert all("red" in row["names"] for row in own)
    else:
        assert {row["name"] for row in own} == {"red"}


def test_build_takes_a_limit_and_a_folder_without_classes(built, capsys, tmp_path):
    (tmp_path / "loose").mkdir()
    for file in sorted((built / "data" / "images").glob("*/0*.png")):
        shutil.copy(file, tmp_path / "loose" / f"{file.parent.name}-{file.name}")
    words = ["build", "--model", NAME, "--data", tmp_path / "loose", "--out", tmp_path / "s", "--patch-count", 1]
    assert "4 images from" in told(capsys, *words, "--limit", 4, "--mining-least", 1)
    assert "0 with a class of the model" in told(capsys, "info", tmp_path / "s")
    assert json.loads(told(capsys, "patches", tmp_path / "s", "--json"))
    assert "None of these images belongs to a class of the model. Put them into one sub-folder per class." in told(
        capsys, "ablate", tmp_path / "s", code=2
    )
    facts = json.loads(told(capsys, "ablate", tmp_path / "s", "--data", built / "data", "--draws", 1, "--json"))
    assert facts["images"] == 12


def test_a_window_of_deep_images_is_kept_and_said(built, capsys, tmp_path):
    words = ["build", "--model", NAME, "--data", deep(tmp_path / "d", 0, 4095, 12), "--mining-least", 1]
    shown = told(capsys, *words, "--out", tmp_path / "s", "--window", "1000,2000.5")
    assert "values 1,000 to 2000.5 shown as black to white" in shown
    assert Study(tmp_path / "s").config["window"] == [1000.0, 2000.5]
    assert "values 1,000 to 2000.5 shown" in told(capsys, "info", tmp_path / "s")
    assert "shown as black" not in told(capsys, "info", built / "s")
    assert "The window cannot be '5.0'." in told(capsys, *words, "--out", tmp_path / "t", "--window", "5", code=2)


def test_ablate_gives_what_the_table_of_the_paper_gives(built, capsys):
    facts = json.loads(told(capsys, "ablate", built / "s", "--json", "--draws", "5"))
    assert {"baseline", "mined", "random_mean", "random_std", "filters_per_class", "per_class"} <= set(facts)
    assert len(facts["per_class"]) == 6
    other = json.loads(told(capsys, "ablate", built / "s", "--json", "--data", built / "data", "--class", "red"))
    assert other["mined"] == pytest.approx(facts["mined"])
    assert [one["path"] for one in other["skipped"]] == ["red/broken.png"]
    assert facts["skipped"] == other["skipped"]
    assert [one["name"] for one in other["per_class"]] == ["red"]
    text = told(capsys, "ablate", built / "s", "--draws", "1")
    assert "accuracy averaged over classes: 100.0% unchanged" in text
    assert "skipped red/broken.png: " in text


def test_ablate_tells_spread_and_price_and_leaves_out_what_was_not_tried(built, capsys):
    facts = json.loads(told(capsys, "ablate", built / "s", "--json", "--draws", "3"))
    rows = facts["per_class"]
    for name in ("baseline", "mined"):
        assert facts[f"{name}_std_over_classes"] == pytest.approx(np.std([row[name] for row in rows]))
    lost = facts["baseline"] - facts["mined"]
    assert facts["mined_drop_per_filter"] == pytest.approx(lost / np.mean([row["filters"] for row in rows]))
    text = told(capsys, "ablate", built / "s", "--draws", "3")
    spread, price = facts["mined_std_over_classes"], facts["mined_drop_per_filter"]
    assert f"deviation over classes: 0.0%, {spread:.1%}, " in text
    assert f"; on average removing one rule filter costs {price:.1%}, removing a relevant one " in text
    assert f"{facts['relevant_drop_per_filter']:.1%}, removing a random one " in text
    assert f"{facts['relevant']:.1%} without {facts['relevant_per_class']:.1f} relevant filters" in text

    def refused(word):
        raise AssertionError(f"{word} is no JSON")

    bare = told(capsys, "ablate", built / "s", "--json", "--draws", "0")
    facts = json.loads(bare, parse_constant=refused)
    assert facts["random_mean"] is facts["random_std"] is facts["random_drop_per_filter"] is None
    assert facts["per_class"][0]["random_mean"] is None
    assert facts["mined"] is not None
    text = told(capsys, "ablate", built / "s", "--draws", "0")
    assert "random" not in text
    assert "nan" not in text.casefold()


def test_info_of_one_class(built, capsys, tmp_path):
    whole = Study(built / "s").table("classes").set_index("name").loc["red"]
    text = told(capsys, "info", built / "s", "--class", "red")
    assert text.startswith(f"red: {whole['images']} images, {whole['predicted']} images predicted")
    assert (
        json.loads(told(capsys, "info", built / "s", "--class", "red", "--json"))["class"]["patches"]
        == whole["patches"]
    )
    told(capsys, "info", built / "s", "--class", "red", "--csv", tmp_path / "c.csv")
    assert (tmp_path / "c.csv").read_text().count("\n") == 2


def test_ablate_without_labels_says_what_is_missing(built, capsys):
    study = Study(built / "s")
    plain = small_study.edited(study, built / "plain", images=study.table("images").assign(label=-1))
    assert "Put them into one sub-folder per class." in told(capsys, "ablate", plain.path, code=2)


def test_bundled_studies_go_by_their_names(capsys):
    assert "flowers-double-12c" in told(capsys, "info", "flowers-double-12c")
    assert BUNDLED.is_dir()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["info", "nowhere"], "There is no study in nowhere."),
        (["rules", "S", "--support", "0"], "mining.support cannot be '0'. It must lie between 0.01 and 1."),
        (["rules", "S", "--class", "rad"], "There is no class called 'rad'. Did you mean 'red'"),
        (["patches", "S", "--filters", "1,b"], "--filters '1,b' cannot be read."),
        (["patches", "S", "--filters", "³"], "--filters '³' cannot be read."),
        (["patches", "S", "--filters", "3,"], "--filters '3,' cannot be read."),
        (["patches", "S", "--filters", "9999"], "There is no filter 9999. The filters of this layer are 0 to"),
        (["patches", "S", "--filters", "9" * 5000], "cannot be read."),
        (["patches", "S", "--class", "²"], "There is no class called '²'."),
        (["patches", "S", "--class", "9" * 5000], "There is no class called '99"),
        (["info", "S", "--class", "nonsense"], "There is no class called 'nonsense'."),
        (["info", "S", "--json", "--csv", "F"], "Argument --csv: not allowed with argument --json."),
        (["info", "x" * 5000], "cannot be opened"),
        (["ablate", "S", "--draws", "-1"], "--draws cannot be '-1'. It must lie between 0 and 1,000."),
        (["ablate", "S", "--draws", "³"], "--draws cannot be '³'. Give a whole number."),
        (["ablate", "S", "--seed", "-1"], "--seed cannot be '-1'."),
        (["ablate", "S", "--data", "nowhere"], "nowhere cannot be opened as a folder"),
        (["ablate", "S", "--data", "x" * 5000], "cannot be opened as a folder (File name too long)"),
        (["ablate", "S", "--data", "a\0b"], "'a\\x00b' contains a zero byte"),
        (["rules", "S", "--csv", "/no/where.csv"], "cannot"),
        (["build", "--model", NAME, "--data", "D", "--out", "N", "--patch-window", "500"], "A window of 500 pixels"),
        (["build", "--model", NAME, "--data", "D", "--out", "N", "--set", "speed"], "--set 'speed' cannot be read."),
        (["build", "--model", NAME, "--data", "D", "--out", "N", "--mining-support", "2"], "--mining-support cannot"),
        (["build", "--model", NAME, "--data", "D", "--out", "N", "--mining-support", "0"], "--mining-support cannot"),
        (["build", "--model", NAME, "--data", "D", "--out", "N", "--explainer", "lrp"], "LRP gives maps of both signs"),
        (["build", "--model", NAME, "--data", "D/images/red/00002.png", "--out", "N"], "is a file, not a folder"),
        (["build", "--model", "flowers-sinle-6c", "--data", "D", "--out", "N"], "Did you mean"),
        ([], "required"),
    ],
)
def test_bad_input_ends_in_one_sentence(built, capsys, words, sentence):
    places = {"S": str(built / "s"), "N": str(built / "new")}
    words = [
        places.get(word, word.replace("D/", f"{built}/data/") if word != "D" else str(built / "data")) for word in words
    ]
    assert sentence in told(capsys, *words, code=2)
    assert not (built / "new").exists()


def test_a_class_that_is_a_label_and_another_number_is_said(built, capsys, monkeypatch):
    digits = ("2", "0", "1", "5", "4", "3")
    monkeypatch.setattr(Study, "labels", digits)
    assert main(["study", "info", str(built / "s"), "--class", "2"]) == 0
    assert "'2' is the label of class 0; class number 2 is 1; the label was taken." in capsys.readouterr().err
    assert main(["study", "info", str(built / "s"), "--class", "4"]) == 0
    assert capsys.readouterr().err == ""

"""Rules put to the test: what silencing their filters costs a class on average, and this image at once."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import streamlit as st

from core.figures import charts
from core.jobs import Job
from core.mining.rules import Mined
from core.progress import Report
from core.serialization import digest
from core.study import Study
from core.units.ablation import Ablation
from core.units.ablation_study import run_ablation
from core.workbench import Workbench
from pages.ui.session import state
from pages.ui.session.jobs import watched, working
from pages.ui.study import open_study
from pages.ui.widgets import messages
from pages.ui.widgets.text import plain

TITLE = "Silencing filters"
Key = tuple[str, str, str]  # of a study, of sets of filters, and the folder of other images


def bench(study: Study) -> Workbench:
    """The workbench of the study's own model, whichever the header shows. Raises what loading it raises."""
    name = study.manifest["model"]["name"]
    found = Workbench(state.network(name), state.session().cache)
    if found.model.sha != study.manifest["model"]["sha"]:
        st.warning(plain(f"The weights of {name} are no longer those this study was made with."))
    return found


def switch(study: Study, filters: Sequence[int], key: str) -> None:
    """A switch that turns filters off for the current image, with the most probable classes before and after."""
    these = "this filter" if len(filters) == 1 else "these filters"
    if not st.toggle(f"Turn {these} off for the current image", key=f"off-{key}"):
        return
    with messages.refused():
        model, picture = bench(study), state.subject()
        layer = study.manifest["model"]["layer"]
        before, after = model.probabilities(picture), model.without(picture, layer, filters)
        top = [index for index, _, _ in model.top(picture)]
        top += [int(index) for index in after.topk(min(5, len(after))).indices if int(index) not in top]
        names = [study.labels[index] for index in top]
        left, right = st.columns([1, 3], vertical_alignment="center")
        left.image(model.view(picture), caption=plain(picture.name), alt=picture.name, width="stretch")
        right.plotly_chart(
            charts.switched(*(dict(zip(names, values[top].tolist(), strict=True)) for values in (before, after))),
            key=f"switched-{key}", config={"displayModeBar": False},
        )  # fmt: skip
        first, then = names[0], study.labels[int(after.argmax())]
        change = f"still {first}" if then == first else f"{then} instead of {first}"
        st.caption(plain(
            f"Without {these} the model says {change}; {first} goes from {float(before[top[0]]):.1%} to "
            f"{float(after[top[0]]):.1%}."
        ))  # fmt: skip


def ablation(study: Study, found: Mined) -> None:
    """The accuracy of every class without the filters of its rules, against random filters of the same number."""
    sets = {int(label): found.filters_of(int(label)) for label in sorted(found.rules["label"].unique())}
    st.markdown(
        "Are these filters the ones that matter? Every class is classified again with the filters of its rules "
        "silenced, and with as many random ones instead, 20 times over."
    )
    folder = st.text_input(
        "Try it on other images", key="ablation-folder", placeholder="those the rules were mined from", width=520,
        help="A folder on the machine Vitrine runs on, with one sub-folder per class: best of images the rules have "
        "never seen.",
    ).strip()  # fmt: skip
    key = (open_study.key(study), digest({str(label): list(filters) for label, filters in sets.items()}), folder)
    results = st.session_state.setdefault("ablation", {})
    if key not in results:
        model = bench(study).model
        if folder or "pooled" not in study.manifest["arrays"]:
            _watched(key, lambda report: run_ablation(study, {"mined": sets}, model, folder=folder, report=report))
        else:
            results[key] = working(TITLE, lambda report: run_ablation(study, {"mined": sets}, model, report=report))
    if key in results:
        _shown(results[key], folder)


def _watched(key: Key, work: Callable[[Report], Ablation]) -> None:
    """Work that reads images: begun by a button, watched, stopped, and kept once it is done."""
    asked, job = st.session_state.get("ablating", (None, None))
    if asked == key:
        watched(job, partial(_ended, key))
    if key not in st.session_state["ablation"] and (asked != key or job.state != "running"):
        hint = "Reads the images; you can go on meanwhile."
        st.button("Silence them", type="primary", help=hint, on_click=_begin, args=(key, work))


def _begin(key: Key, work: Callable[[Report], Ablation]) -> None:
    _, earlier = st.session_state.get("ablating", (None, None))
    if earlier:
        earlier.cancel()
    job = Job(work, TITLE)
    state.session().jobs.append(job)
    st.session_state["ablating"] = (key, job)


def _ended(key: Key, job: Job) -> None:
    if job.state == "done":
        st.session_state["ablation"][key] = job.result
    elif job.state == "cancelled":
        st.info("Stopped.")
    elif job.error:
        st.error(plain(str(job.error)))


def _shown(found: Ablation, folder: str) -> None:
    """Averages in a line, the classes as a chart and as a table, and what was left out."""
    summary = found.summary()
    source = plain(f"of {Path(folder).name}") if folder else "those the rules were mined from"
    numbers = (
        ("All filters", f"{summary['baseline']:.1%}", "accuracy, mean over classes"),
        ("Without mined ones", f"{summary['mined']:.1%}", f"{summary['filters_per_class']:.1f} filters per class"),
        ("Without random ones", f"{summary['random_mean']:.1%}", f"± {summary['random_std']:.1%} over 20 draws"),
        ("Images", f"{summary['images']:,}", source),
    )
    grid = st.grid(4, min_column_width=170)
    for name, value, text in numbers:
        grid.metric(name, value, text, delta_color="off", delta_arrow="off")
    whole, own, chance = (summary[f"{name}_std_over_classes"] for name in ("baseline", "mined", "random"))
    words = f"Spread over classes: ± {whole:.1%} with all filters, ± {own:.1%} without mined ones, ± {chance:.1%} "
    words += "without random ones."
    mined, random = summary["mined_drop_per_filter"], summary["random_drop_per_filter"]
    if mined is not None:
        words += f" On average one mined filter costs {mined:.1%} of accuracy, a random one {random:.1%}."
    st.caption(words)
    if found.skipped:
        with st.expander(f"Left out: {len(found.skipped):,}", icon=":material/warning:"):
            st.dataframe(
                {"What": list(found.skipped), "Why": list(found.skipped.values())}, hide_index=True,
                alt="What could not be used, and why",
            )  # fmt: skip
    table = found.per_class
    st.plotly_chart(charts.ablation(table), key="ablation-chart", config={"displayModeBar": False})
    with st.expander("The same as a table"):
        st.dataframe(
            table.drop(columns="label"), hide_index=True, alt="Accuracy of each class with filters silenced",
            column_config={
                name: st.column_config.NumberColumn(format="percent")
                for name in ("baseline", "mined", "random_mean", "random_std", "drop_per_filter")
            },
        )  # fmt: skip
    st.caption(
        "The further the orange square lies left of the blue diamond, the more do the rules of that class name the "
        "filters that matter."
    )

"""The script of every visit: page settings, navigation by section, and the frame around the page."""

import streamlit as st

from pages.ui.shell import startup

# A new page is one file in pages/<section>/ and one line here: file, title, icon, and what the header shows of what the
# page depends on: the current "image", its "model" and "classes", the "study", or the "units" of a layer, of a study
# or of the model alone. Its address is the file's name.
SECTIONS = {
    "Explore": [
        ("explore/start", "Start", "image", "image model classes"),
        ("explore/compare", "Compare", "grid_view", "image model classes"),
        ("explore/measure", "Measure", "monitoring", "image model classes"),
        ("explore/exam", "Exam", "leaderboard", ""),
        ("explore/failures", "Failures", "rule_folder", ""),
        ("explore/bias", "Bias", "balance", ""),
        ("explore/two_models", "Two models", "compare", ""),
    ],
    "Filters and rules": [
        ("mine/patches", "Patches", "grid_on", "study"),
        ("mine/rules", "Rules", "rule", "study image"),
        ("mine/averages", "Averages", "blur_on", "study"),
        ("mine/classes", "Class", "label", "study"),
        ("mine/concepts", "Concepts", "category", "study image"),
        ("units/units", "Units", "apps", "study image units"),
        ("units/unit", "Filter", "filter_tilt_shift", "study image units"),
        ("mine/studies", "Studies", "science", ""),
        ("mine/storage", "Storage", "hard_drive", ""),
    ],
    "Learn": [
        ("learn/methods", "Methods", "menu_book", "model"),
        ("learn/cases", "Three cases", "filter_3", ""),
        ("learn/tables", "Tables", "table_chart", ""),
        ("learn/selections", "Filter selection", "filter_center_focus", "image model classes"),
    ],
}

startup.settle()  # before navigation: a page icon set there would be fetched from the Internet
cover = startup.cover()

# Imported here, as they import PyTorch.
from pages.ui.session import navigation  # noqa: E402
from pages.ui.shell import frame  # noqa: E402

page = st.navigation(navigation.pages(SECTIONS), expanded=True)
frame.around(page, navigation.header(page), cover)

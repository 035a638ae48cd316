"""The glossary in the sidebar of every page."""

from collections.abc import Mapping

import streamlit as st

from pages.ui.widgets.text import plain

# In alphabetical order.
TERMS: Mapping[str, str] = {
    "Ablation": "Setting the activations of filters to zero to measure how much the prediction depends on them.",
    "Activation": "The output of a filter at one position; a response is the activation within a patch or an image.",
    "Average patch": "The mean of the patches in which a filter of a rule is active, weighted by its response.",
    "Class activation map": "A heatmap computed from a layer's activations, weighted by their importance for a class.",
    "Class profile": "The mean response of a unit to the images of each class.",
    "Confidence": "Of all patches with a rule's filters active, the fraction that belongs to the rule's class.",
    "Control": "A map that does not depend on the model; a method that agrees with it explains little.",
    "Dead unit": "A unit whose response is the same in all images.",
    "Drop": "How much the probability of the class falls when a patch is masked.",
    "Filter": "One channel of a layer, also called a unit; written layer · F12.",
    "Forward pass": "One evaluation of the network on one image; a backward pass, for gradients, takes twice as long.",
    "Heatmap": "One value per pixel or position: what a method assigns to it for one class. Also called a map.",
    "Itemset": "A set of filters that are active together in several patches.",
    "Layer": "A module of the network; maps are read from layers with spatial positions.",
    "Lift": "Confidence divided by the class's share of all patches: above 1, the filters favour the class.",
    "Logit": "The raw score of a class before the softmax turns scores into probabilities.",
    "Occlusion": "Replacing a window of the image, for example by grey, to see how the score changes; also: masking.",
    "Patch": "A square window of an image on which the prediction depends: masking it lowers the probability.",
    "Rule": "An association rule, filters → class: patches with these filters active mostly belong to it.",
    "Score": "The number being explained: a logit or a probability. For a rule, support × confidence.",
    "Segment": "A group of neighbouring pixels of similar colour, also called a superpixel.",
    "Selectivity": "How much a unit's mean response to its class exceeds that to the other classes: 0 to 1.",
    "Shared filters": "Filters in rules of two or more classes; more widely, those frequent in their patches.",
    "Study": "Patches, filters, rules and average patches, mined once from a model and a folder of images.",
    "Support": "Of a class's patches, the fraction in which all filters of a rule are active.",
    "Transaction": "The strongest filters of one patch, as the rule mining sees it.",
}


def glossary() -> None:
    """A button in the sidebar that shows all terms."""
    with (
        st.sidebar.container(key="vitrine-glossary"),
        st.popover("Glossary", icon=":material/dictionary:", width="stretch"),
    ):
        st.markdown("\n\n".join(f"**{plain(term)}** {plain(sentence)}" for term, sentence in TERMS.items()))

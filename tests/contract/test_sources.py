"""What scripts, links and studies rely on: the names of the methods, and the settings that their sources have."""

import pytest

from core.explain import EXPLAINERS

NAMES = (
    "saliency", "input_x_gradient", "smoothgrad", "smoothgrad_sq", "vargrad", "integrated_gradients", "gradient_shap",
    "layerwise_ixg", "cam", "grad_cam", "grad_cam_pp", "guided_grad_cam", "guided_grad_cam_pp", "layer_cam",
    "hires_cam", "xgrad_cam", "score_cam", "upsampled_activation", "deconvnet", "guided_backprop", "excitation_bp",
    "contrastive_ebp", "lrp", "occlusion", "rise", "meaningful_perturbation", "extremal_perturbation",
    "feature_ablation", "lime_image", "kernel_shap", "superpixel_tree", "random", "edge_detector", "centre_gaussian",
)  # fmt: skip

# As published, as in the reference implementation, or, where neither says, as chosen here.
STANDARD = {
    "saliency": {"reduce": "max_abs"},
    "smoothgrad": {"samples": 25, "spread": 0.15},
    "integrated_gradients": {"steps": 50},
    "layerwise_ixg": {"skip_first": 1, "attention_weight": False},
    "grad_cam_pp": {"normalise": "paper"},
    "excitation_bp": {"skip": "clamp"},
    "lrp": {"rule": "composite", "gamma": 0.25},
    "occlusion": {"window": 32, "stride": 16, "fill": "grey"},
    "rise": {"masks": 1000, "cells": 7, "keep": 0.5, "score": "prob", "centred": False},
    "meaningful_perturbation": {"aim": "delete", "steps": 150, "sparse": 0.01, "smooth": 0.2, "score": "prob"},
    "extremal_perturbation": {"areas": (0.1,), "aim": "preserve", "steps": 200, "smooth": 21.0, "hide": "blur"},
    "lime_image": {
        "samples": 1000, "cut": "quickshift", "hide": "mean", "alpha": 1.0, "width": 0.25, "score": "prob", "top": 0,
    },
}  # fmt: skip
PAPER = {
    "smoothgrad": {"samples": 50},
    "rise": {"masks": 8000},
    "meaningful_perturbation": {"steps": 500},
    "extremal_perturbation": {"steps": 800, "areas": (0.025, 0.05, 0.1, 0.2), "soften": 0.09},
}


def test_names_stay():
    assert not set(NAMES) - set(EXPLAINERS)


@pytest.mark.parametrize(("budget", "table"), [("standard", STANDARD), ("paper", PAPER)])
def test_settings_are_those_of_the_sources(budget, table):
    for name, wanted in table.items():
        chosen = EXPLAINERS[name].chosen(EXPLAINERS[name].budget(budget))
        assert {setting: chosen[setting] for setting in wanted} == wanted, name

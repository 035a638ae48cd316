"""The outline of a mask on a photo."""

import numpy as np

from core.figures.outline import outlined


def test_the_border_is_white_inside_and_black_outside():
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    picture = outlined(np.full((9, 9, 3), 100, np.uint8), mask)[..., 0]
    assert (picture[3:6, 3:6] == 100).all(), "what lies inside stays visible"
    assert (picture[2, 2:7] == 255).all()
    assert (picture[1, 2:7] == 0).all()
    assert (picture[0] == 100).all()


def test_no_mask_changes_nothing():
    view = np.full((4, 4, 3), 7, np.uint8)
    assert (outlined(view, np.zeros((4, 4), bool)) == view).all()

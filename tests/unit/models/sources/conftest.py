"""What the tests of all sources share."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """A smooth picture of 180 × 90 pixels, whose parts all differ; crops of an even side have equal margins."""
    cells = np.random.default_rng(0).integers(0, 256, (9, 18, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((180, 90), Image.Resampling.BICUBIC)

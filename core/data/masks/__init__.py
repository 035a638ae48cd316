"""Masks of objects for the images of a folder, as the model sees them."""

from core.data.masks.folder import MaskFolder, ObjectMask, ObjectMasks, mask_folder

__all__ = ["MaskFolder", "ObjectMask", "ObjectMasks", "mask_folder"]

"""Images with masks of concepts: parts and colours of flowers, a user's folder of masks, the layout of Broden.

`concept_folder` reads the first of these that a folder has:

    index.csv, label.csv    the layout in which Broden is published: `broden`
    concepts                a data set of flowers, as `vitrine flowers` writes it; categories `part` and `colour`
    masks/CONCEPT           for the image images/CLASS/NAME.png the picture masks/CONCEPT/CLASS/NAME.png, with the
                            suffix of any image; white, or the higher of two values, is the concept. An image without
                            a picture does not show the concept. masks/categories.csv, if there is one, has the columns
                            concept and category; all others are of the category `concept`

An image counts as annotated for a category if it shows at least one concept of it.
"""

from core.data.concepts.concept import Concept
from core.data.concepts.folder import ConceptFolder, concept_folder

__all__ = ["Concept", "ConceptFolder", "concept_folder"]

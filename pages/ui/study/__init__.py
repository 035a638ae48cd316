"""Parts of the pages that show a study."""

"""The commands about the predictions of a model for a study or folder."""

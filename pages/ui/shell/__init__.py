"""The frame of every page: header, navigation, style."""

"""The frame around every page: header, navigation, style."""

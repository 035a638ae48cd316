"""The frame of every page: header, glossary, style."""

"""The frame of every page: header, glossary, tour, style."""

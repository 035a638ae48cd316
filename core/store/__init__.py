"""Stored results: crash-safe folders of tables and arrays, whole or absent, resumed, locked, checked by hash.

A `Schema` says what a kind of store holds; studies are one kind. `writer.writing` gives a draft, `reader.Store` opens
what was finished.
"""

"""Stored results: crash-safe folders of tables and arrays, complete or absent, resumable, locked, checked by hash.

A `Schema` describes the content of a kind of store; studies are one kind. `writer.writing` gives a draft,
`reader.Store` opens a finished store.
"""

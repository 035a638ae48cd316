"""Stored results: crash-safe folders of tables and arrays, whole or absent, resumed, locked, checked by hash."""

"""Crash-safe folders of tables and arrays: written as a whole or not at all, resumed, locked, checked by hash."""

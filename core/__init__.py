"""Vitrine's engine: everything the app shows, without a browser."""

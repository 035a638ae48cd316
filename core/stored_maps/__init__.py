"""Maps of whole folders on disk: computed in batches, written beside computing, resumed after a crash, opened again.

A folder of maps holds `settings.json`, `maps/000/000000.npz` … with the maps of one image each, `results.csv` with a
row for each map, and `finished.log`, whose last line says up to where the table is complete.
"""

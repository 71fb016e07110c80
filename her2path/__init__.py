"""HER2 scoring of immunohistochemistry slides. For research use only.

Rooms, from the ground up: `stain`, `tissue`, `cells`, `criteria`, `statistics`, `flags` (arrays in,
values out); `slides`, `annotations`, `results` (files); `synth` (drawn slides with known truth);
`pipeline` (tile, slide, batch); `report`, `cli`. Import from the rooms; this module loads none.
"""

from her2path.compiled import forget_stale, provide_place

# Before any room is imported, and with it compiled functions.
forget_stale()
provide_place()

"""HER2 scoring of immunohistochemistry slides. For research use only.

Rooms, from the ground up: `stain`, `tissue`, `cells`, `criteria`, `statistics`, `flags` (arrays in,
values out); `slides`, `annotations`, `results` (files); `synth` (drawn slides with known truth);
`pipeline` (tile, slide, batch); `report`, `cli`. Import from the rooms; this module loads nothing.
"""

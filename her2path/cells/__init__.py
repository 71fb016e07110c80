"""Nuclei, membranes and what is measured on them.

Import from the modules: `measure` (picture to measurements), `classify` (measurements to classes),
`calibration` (the cut-offs), `tumor`, `tumor_groups`, `sure_nuclei`, `empty_cells` and `pigment`
(which cells count), `table` (the measurements themselves).
"""

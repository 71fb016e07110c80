"""A cohort of pairs: what became of HER2, how sure that is, and what untreated tumours do.

`table` reads the pairs, `analysis` counts and tests, `noise_floor` holds what is published of
untreated tumours, `writing` makes files. Import from the modules.
"""

__all__: list[str] = []

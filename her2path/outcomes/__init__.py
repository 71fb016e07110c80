"""HER2 groups, and what happened to the patients.

`patients` reads the table, `baseline`, `response`, `survival` and `hazards` compare groups,
`analysis` brings it together, `writing` makes files. lifelines and pandas are needed only
where survival is computed; `libraries` says how to get them.
"""

__all__: list[str] = []

"""HER2 scoring of immunohistochemistry slides. For research use only."""


"""The command line: `her2path score`, `info`, `criteria`, `report`, `doctor`."""

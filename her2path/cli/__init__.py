"""The command line, `her2path`: `main` lists its commands, each has a module of its name."""

from her2path.cli.compiled import provide_place

# Before the commands, which import compiled functions.
provide_place()

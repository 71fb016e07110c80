"""The command line, `her2path`: `main` lists its commands, each has a module of its name."""

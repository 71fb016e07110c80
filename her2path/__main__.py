"""Run the command line: `python -m her2path`."""

from her2path.cli.main import main

if __name__ == "__main__":
    main()

"""The results folder: tables, GeoJSON, journal and record of a run.

Tables live in `cells`, `tables` and `columns`, the rest in the module of its name; import from
those, so that reading a journal does not load the table library.
"""

from her2path.results.atomic import atomic_path, write_bytes, write_text
from her2path.results.folder import ResultsFolder, SlideFolder, name_slides
from her2path.results.journal import Fingerprint, Journal, JournalState, fingerprint_of
from her2path.results.jsonable import read_json, to_json, write_json
from her2path.results.run_record import RunRecord, describe_input, settings_hash

__all__ = [
    "Fingerprint",
    "Journal",
    "JournalState",
    "ResultsFolder",
    "RunRecord",
    "SlideFolder",
    "atomic_path",
    "describe_input",
    "fingerprint_of",
    "name_slides",
    "read_json",
    "settings_hash",
    "to_json",
    "write_bytes",
    "write_json",
    "write_text",
]

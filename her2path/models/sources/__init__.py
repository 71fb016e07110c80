"""Training pictures from outside: what is known of each, where from, and on which side it stands.

`manifest` reads a table of your own, the modules named after public sets read their folders as
they are unpacked, `split` keeps patients and laboratories apart, `pictures` reads pixels and
labels at the network's µm/px.
"""

from her2path.models.sources.catalogue import SOURCES, read_source
from her2path.models.sources.manifest import read_manifest, write_manifest
from her2path.models.sources.sample import Label, Part, Sample
from her2path.models.sources.split import Apart, check_split, split_samples

__all__ = [
    "SOURCES",
    "Apart",
    "Label",
    "Part",
    "Sample",
    "check_split",
    "read_manifest",
    "read_source",
    "split_samples",
    "write_manifest",
]

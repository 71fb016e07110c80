"""Networks that read slides: checkpoints, where they are found, and what they say of themselves.

What needs torch is imported from its own module: `checkpoint`, `network`, `training`, `inference`.
"""

from her2path.models.description import ModelDescription, read_description, verify_folder
from her2path.models.shipped import FoundModel, find_model, list_models

__all__ = [
    "FoundModel",
    "ModelDescription",
    "find_model",
    "list_models",
    "read_description",
    "verify_folder",
]

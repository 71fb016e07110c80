"""The smallest recipe that trains: a few steps on the fields of `conftest`."""

from her2path.models.training_recipe import TrainingRecipe

TINY = TrainingRecipe(
    name="tiny",
    n_fields=2,
    n_validation_fields=1,
    field_um=120.0,
    field_seed=50,
    crop_px=64,
    groups=2,
    crops_per_group=2,
    steps=4,
    validate_every=2,
)

"""Drawn fields and an untrained checkpoint, made once."""

from pathlib import Path

import pytest

from her2path.models.scenes import TrainingField, draw_training_fields, load_training_fields

SIDE_UM = 120.0
SEEDS = range(80, 83)


@pytest.fixture(scope="session")
def fields_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fields")
    draw_training_fields(folder, SEEDS, SIDE_UM)
    return folder


@pytest.fixture(scope="session")
def training_fields(fields_folder: Path) -> list[TrainingField]:
    return load_training_fields(fields_folder, SEEDS)


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random weights whose normalisation has seen something."""
    import torch

    from her2path.models.design import NetworkDesign
    from her2path.models.network import Her2Network
    from her2path.models.training_outputs import save_model
    from her2path.models.training_recipe import read_training_recipe

    torch.manual_seed(5)
    network = Her2Network(NetworkDesign()).train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(2, 3, 64, 64))
    folder = tmp_path_factory.mktemp("checkpoint") / "model"
    save_model(folder, network.eval(), read_training_recipe("small"), {}, seed=0, laboratories=())
    return folder

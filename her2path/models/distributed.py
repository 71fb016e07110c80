"""Several processes that train one network: torchrun starts them, gradients are averaged."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from her2path.models.devices import choose_device, multiplies_bfloat16

__all__ = ["Team"]

# The others wait while the first draws the fields, and at each validation; torch would end the run
# after ten minutes on graphics cards, after thirty on processors.
MOST_WAITING = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Team:
    """The processes of a run; alone unless torchrun started them."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @staticmethod
    def of_environment(device_name: str) -> Team:
        """Join the processes that torchrun has started, if it has."""
        device = torch.device(choose_device(device_name))
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size <= 1:
            return Team(device)
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=MOST_WAITING)
        return Team(device, distributed.get_rank(), size)

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def mixed_precision(self) -> torch.autocast:
        """Return a context whose convolutions are in bfloat16 where the device multiplies it."""
        device = self.device.type
        return torch.autocast(device, dtype=torch.bfloat16, enabled=multiplies_bfloat16(device))

    def wait(self) -> None:
        """Wait for the others."""
        if self.size > 1:
            distributed.barrier()

    def average(self, tensors: list[Tensor]) -> None:
        """Replace floating tensors by their mean over the team (in place)."""
        floating = [t for t in tensors if t.dtype.is_floating_point]
        if self.size == 1 or not floating:
            return
        flat = torch.cat([t.reshape(-1) for t in floating])
        distributed.all_reduce(flat)
        flat /= self.size
        first = 0
        for t in floating:
            t.copy_(flat[first : first + t.numel()].view_as(t))
            first += t.numel()

    def greatest(self, value: float) -> float:
        """Return the greatest of the team's values, the same in each process."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        distributed.all_reduce(shared, op=distributed.ReduceOp.MAX)
        return float(shared)

    def of_first(self, value: float) -> float:
        """Return the value of the first process, in each process."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, src=0)
        return float(shared)

    def leave(self) -> None:
        """End the group."""
        if self.size > 1:
            distributed.destroy_process_group()

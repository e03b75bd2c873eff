"""TorchScript programs for the tests; imported only where torch is there."""

from __future__ import annotations

import io
import warnings
from typing import Dict, List, NamedTuple, Optional, Tuple  # noqa: UP035 - as torch.jit reads them

import torch

__all__ = ["PROGRAMS", "save"]


class Sums(torch.nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> Dict[str, torch.Tensor]:  # noqa: UP006
        return {"sum": x + y, "twice": x * 2}


class Mirror(torch.nn.Module):
    """Norman's guide: the image, mirrored."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.flip(-1)


class Both(NamedTuple):
    low: torch.Tensor
    high: torch.Tensor


class Range(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> Both:
        return Both(x.min(), x.max())


class Pair(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> Tuple[torch.Tensor, int]:  # noqa: UP006
        return x + 1, x.numel()


class Parts(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> List[torch.Tensor]:  # noqa: UP006
        return [x, x + 1]


class Typed(torch.nn.Module):
    def forward(
        self,
        x: torch.Tensor,
        names: List[str],  # noqa: UP006
        k: int = 2,
        flag: bool = False,
        scale: Optional[float] = None,  # noqa: UP045
    ) -> str:
        return f"{x.numel()} {names} {k} {flag} {scale}"


class Breaks(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(3, 7)


class Writes(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_file("written", True, 4, dtype=torch.float32).fill_(1.0)


class Layer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)
        torch.nn.init.ones_(self.linear.weight)
        torch.nn.init.zeros_(self.linear.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(x)
        return out


PROGRAMS: dict[str, type[torch.nn.Module]] = {
    one.__name__.lower(): one
    for one in (Sums, Mirror, Range, Pair, Parts, Typed, Breaks, Writes, Layer)
}


def save(name: str) -> bytes:
    """Return the bytes of a scripted program."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        torch.jit.save(torch.jit.script(PROGRAMS[name]()), buffer)
    return buffer.getvalue()

"""Compile all kernels for a GPU that need not be there, and print the shared memory that each takes, as JSON.

Run in a process of its own, without Triton's interpreter. Only the compiler is asked: nothing is launched.
"""

from __future__ import annotations

import json
import sys

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver

from titans_dna.ops import MemoryForm
from titans_dna.ops.triton import fused
from titans_dna.ops.triton.plan import make_plan

KERNELS = ("write_kernel", "read_kernel", "write_backward_kernel", "read_backward_kernel")


class Absent:
    """A driver of a device that is not there."""

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)  # H100, H200


class Compiled:
    """A kernel whose launch compiles it and notes what it takes."""

    def __init__(self, kernel, found: dict[str, int]) -> None:
        self.kernel, self.found = kernel, found

    def __getitem__(self, grid: tuple[int, ...]):
        def compile_only(*arguments, **settings) -> None:
            done = self.kernel.warmup(*arguments, grid=grid, **settings)
            assert done.asm["cubin"]
            self.found[self.kernel.__name__] = done.metadata.shared

        return compile_only


def main(products: str, width: int, written: str) -> None:
    driver.set_active(Absent())
    found: dict[str, int] = {}
    for name in KERNELS:
        setattr(fused, name, Compiled(getattr(fused, name), found))
    form, n, r, c = MemoryForm(written=written), 2, 1, 64
    plan = make_plan(form, c, width, True, products)
    ways, first = plan.ways, form.first_written
    gates = [torch.zeros(n, r, *s) for s in ((c,), (c, c), (c, ways), (c, ways), (ways, ways))]
    matrices = [torch.zeros(r, inner * (ways if i >= first else 1), out)
                for i, (out, inner) in enumerate(form.shapes(width))]  # fmt: skip
    vectors = [torch.zeros(n, r, c, width)] * 3
    x = fused.Inputs.of(
        plan, form.written_matrices, [*vectors, torch.zeros(r, 1, width), *gates * form.written_matrices, *matrices]
    )
    trace, reads, loss = fused._forward(x)
    fused._backward(x, trace, reads, loss, matrices[first:])
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])

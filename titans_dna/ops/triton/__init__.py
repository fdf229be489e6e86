"""The memory on a GPU: fused kernels in Triton. Nothing here is imported before it is used."""

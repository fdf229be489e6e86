"""Embeddings of regions in HDF5, and in the formats of other tools."""

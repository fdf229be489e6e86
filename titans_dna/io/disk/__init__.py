"""What all formats need: files that are whole or absent, text lines, blocked gzip, the cache, HDF5 on a full disk."""

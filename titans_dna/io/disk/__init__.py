"""What every format needs: whole files or none, text line by line, blocked gzip, the cache, HDF5 on a full disk."""

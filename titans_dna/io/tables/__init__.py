"""Tables of scores, and tracks with one or several numbers for each base."""

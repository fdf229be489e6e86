"""Tables of scores, and tracks of one number or several for each base."""

"""Jobs: from files to files, in finished parts that a kill cannot undo."""

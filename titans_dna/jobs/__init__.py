"""Jobs read files and write files; their finished parts are kept on disk, so that a killed run can go on."""

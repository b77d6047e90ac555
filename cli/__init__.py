"""`spark`, the command line: a client of the HTTP API, one file per noun, plus the local stack (`cli/local/`)."""

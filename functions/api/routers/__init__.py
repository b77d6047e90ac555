"""The endpoints: a file per noun, each parsing, calling and answering."""

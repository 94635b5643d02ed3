"""Corpora, one file each; every file is a subcommand of `foldformer corpus`."""

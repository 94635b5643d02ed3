"""The command line: one thin file for each verb, found by its name."""

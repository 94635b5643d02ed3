"""Trainings that differ in a few keys: planned, run, and recorded so that they can be traced."""

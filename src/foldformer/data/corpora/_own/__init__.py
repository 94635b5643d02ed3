"""Recordings that somebody has, with their texts, as a corpus."""

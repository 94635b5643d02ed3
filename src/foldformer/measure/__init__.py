"""Counting and measuring: parameters, bytes, operations."""

"""Compress what is already trained: align, fold, plan, recover."""

"""From recordings to batches: audio, features, tokens, cuts."""

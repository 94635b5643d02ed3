"""From encoder outputs to text: greedy, beam, streams, scores."""

"""The parts of the composed corpus: meanings, grammars, recorded units, sound, files."""

"""What rivals with documents look into: passages, an index by words and meaning, and what it finds."""

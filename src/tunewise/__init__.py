"""tunewise: should I fine-tune, or is a better prompt enough? Measured on your own examples."""

"""Fine-tuning: a flat loop, and beside it what makes it fast."""

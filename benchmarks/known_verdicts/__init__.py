"""Runs whose verdict is known beforehand: what they are made of, and what they must say."""

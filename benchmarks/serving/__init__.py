"""The parts of `serve_speed.py`: engines in processes of their own, prompts, and what is measured of them."""

"""Settings that every test shares."""

from hypothesis import settings

# Deadlines measure the machine, not the code.
settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")

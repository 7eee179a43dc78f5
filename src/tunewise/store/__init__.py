"""Where things are kept: the registry, run folders, files written whole or not at all."""

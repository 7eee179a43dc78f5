"""One engine per module, each run as a process of its own that answers the calls of `serving.process`."""

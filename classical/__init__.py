"""Classical detectors: one detector, one file. Importing this loads no quantum software."""

"""Version 2 of the Open Inference Protocol, with what Triton added to it."""

"""What the worker must remember exactly: positions and batch plans, and the salts of visitors."""

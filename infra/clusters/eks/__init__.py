"""The `eks` target: a cluster of AWS with its own network. One noun a file; what decides is pure, what makes is not."""

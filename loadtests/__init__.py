"""Load on the running service: k6 scenarios, the wrapper that runs them, and what their answers mean."""

"""Traces: what Jaeger answers, and how a person reads it."""

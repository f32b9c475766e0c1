"""Dashboards and rules as typed Python that emits files."""

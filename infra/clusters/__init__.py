"""Targets: each makes or describes one cluster and hands over a `Cluster`."""

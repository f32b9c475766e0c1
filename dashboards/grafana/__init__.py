"""Dashboards as typed Python: one model, from which Grafana's JSON, the live check and the drawings are made."""

"""Kibana's view of logs as typed Python: one model, from which Kibana's payloads and the live check are made."""

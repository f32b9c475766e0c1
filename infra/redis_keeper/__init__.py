"""Beside each replicated Redis: who am I, and who is master. Standard library only: it runs in a bare Python image.

Redis itself starts as a replica of nobody and never takes a role by itself (docs/adr/0060). The keeper gives it one.
"""

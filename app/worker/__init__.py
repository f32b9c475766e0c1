"""The worker role: acts on messages."""

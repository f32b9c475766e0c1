"""The proof kit: faults that always heal, load around them, a ledger of promises, drills with negative controls."""

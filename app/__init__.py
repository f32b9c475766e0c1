"""The payload: a small learning site's API over Postgres. Nothing outside this package knows that it is Flask."""

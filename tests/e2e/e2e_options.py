"""What `slipway up` is told for tests that look at everything that a platform can have."""

from dashboards.rules.present import Present

EVERYTHING = ("--set", "slipway-platform:traces", "managed", "--set", "slipway-platform:backups", "managed")
#: What is there then.
PRESENT = Present(poolers=False)

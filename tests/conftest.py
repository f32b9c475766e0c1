"""What holds for every test."""

from hypothesis import settings

# A busy machine is slow; how long an example takes is no property of what is tested.
settings.register_profile("slipway", deadline=None)
settings.load_profile("slipway")

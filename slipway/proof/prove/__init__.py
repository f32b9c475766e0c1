"""`make prove`: every way in which a rollout can go, under load, with what may break meanwhile broken on purpose."""

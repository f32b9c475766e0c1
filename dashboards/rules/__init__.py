"""Recording and alerting rules as typed Python. Pure: the platform makes objects of them, rollouts ask by the same."""

import sys
from pathlib import Path

# The networks of a cluster are shared; a real API server on a real etcd, as the rollout's tests start it.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "rollout")]

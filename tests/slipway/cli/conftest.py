import sys
from pathlib import Path

# A real API server on a real etcd, as the rollout's tests start it.
sys.path.insert(0, str(Path(__file__).parents[1] / "rollout"))

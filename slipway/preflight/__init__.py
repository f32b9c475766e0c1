"""What must hold before a version goes to production: facts of cluster and repository, and pure checks of them."""

"""What pods print: how it is kept in Elasticsearch, and how it is asked for."""

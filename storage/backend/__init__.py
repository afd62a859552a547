"""What differs between SQLite and PostgreSQL, and what both need."""

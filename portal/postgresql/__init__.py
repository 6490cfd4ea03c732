"""PostgreSQL, of which a query that is interrupted leaves nothing open."""

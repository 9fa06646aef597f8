"""The engine against the least that could do the same work: bare psycopg loops on the same server, in turn."""

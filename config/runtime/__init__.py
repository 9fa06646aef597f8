"""Start-up: the embedded PostgreSQL server, the process supervisor and the commands behind `./tandem`."""

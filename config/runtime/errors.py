"""What can go wrong at start-up; each message is a sentence that says what to do."""


class StartupError(Exception):
    """Tandem cannot start, or cannot go on; the message is for the person at the terminal."""


class DatabaseUnavailable(StartupError):
    """The embedded PostgreSQL server cannot be started or reached."""


class AlreadyRunning(StartupError):
    """Another `./tandem up` holds this data directory."""

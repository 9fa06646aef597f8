"""PostgreSQL as Django's backend speaks to it, with a limit of our own to how long an answer is awaited (`driver`)."""

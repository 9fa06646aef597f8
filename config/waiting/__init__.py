"""Waiting without holding anything: `Prefer: wait=N` and progress streams, as a layer around the synchronous site.

A wait asks the site once, sleeps on the doorbell, and asks again: while it sleeps it holds no thread, no transaction
and no database connection. (docs/decisions/0006)
"""

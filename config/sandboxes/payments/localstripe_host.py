# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts localstripe: run by the interpreter of localstripe's own environment, in a process of its own.

    python -I localstripe_host.py LISTENING_SOCKET_FD STATE_FILE PARENT_PID

localstripe by itself rewrites one pickle in /tmp at every step, shared by all of a machine's users, torn by a kill and
slower with every payment. Here each object is a row of an SQLite file, and only changed objects are written.

This file is a program of its own: it extends localstripe and is under localstripe's licence, the GPL. Nothing of Tandem
imports it; it runs in localstripe's environment, and only beside demo and tests.
"""

import ctypes
import io
import os
import pickle
import signal
import socket
import sqlite3
import sys
from typing import Any

from aiohttp import web  # type: ignore[import-not-found]  # installed in localstripe's environment only
from localstripe import resources, server  # type: ignore[import-not-found]  # the same

PR_SET_PDEATHSIG = 1

changed: dict[int, Any] = {}
by_kind: dict[str, dict[str, Any]] = {}
kinds = {kind.object: kind for kind in resources.StripeObject.__subclasses__()}


class ReferencePickler(pickle.Pickler):
    """Writes another stored object as its key, so that each object is stored once."""

    def persistent_id(self, obj: object) -> str | None:
        if isinstance(obj, resources.StripeObject):
            return f"{obj.object}:{obj.id}"
        return None


class ReferenceUnpickler(pickle.Unpickler):
    def persistent_load(self, pid: str) -> object:
        return resources.store[pid]


def set_attribute(subject: resources.StripeObject, name: str, value: object) -> None:
    object.__setattr__(subject, name, value)
    changed[id(subject)] = subject


def put(store: dict[str, Any], key: str, value: resources.StripeObject) -> None:
    dict.__setitem__(store, key, value)
    by_kind.setdefault(key.partition(":")[0], {})[key] = value


def remove(store: dict[str, Any], key: str) -> None:
    dict.__delitem__(store, key)
    del by_kind[key.partition(":")[0]][key]


def list_all(
    cls: type[resources.StripeObject],
    url: str,
    limit: object = None,
    starting_after: object = None,
    **unexpected: object,
) -> resources.List:
    if unexpected:
        raise server.UserError(400, "Unexpected " + ", ".join(unexpected))
    page = resources.List(url, limit=limit, starting_after=starting_after)
    page._list = list(by_kind.get(cls.object, {}).values())
    return page


def save(store: dict[str, Any]) -> None:
    rows = []
    for subject in changed.values():
        key = f"{subject.object}:{getattr(subject, 'id', '')}"
        if store.get(key) is subject:
            state = io.BytesIO()
            ReferencePickler(state, pickle.HIGHEST_PROTOCOL).dump(vars(subject))
            rows.append((key, state.getvalue()))
    changed.clear()
    if rows:
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO object VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET state = excluded.state", rows
        )
        database.execute("COMMIT")


def load() -> None:
    rows = database.execute("SELECT key, state FROM object ORDER BY rowid").fetchall()
    for key, _ in rows:
        kind = kinds[key.partition(":")[0]]
        put(resources.store, key, kind.__new__(kind))
    for key, state in rows:
        vars(resources.store[key]).update(ReferenceUnpickler(io.BytesIO(state)).load())


def end_with(parent: int) -> None:
    """Die when the parent does, however it dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("The parent is gone already.")


if __name__ == "__main__":
    descriptor, state_file, parent_pid = sys.argv[1:]
    end_with(int(parent_pid))
    database = sqlite3.connect(state_file, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("CREATE TABLE IF NOT EXISTS object (key TEXT PRIMARY KEY, state BLOB NOT NULL)")
    resources.StripeObject.__setattr__ = set_attribute
    resources.StripeObject._api_list_all = classmethod(list_all)  # type: ignore[arg-type]  # mypy wants no names
    resources.Store.__setitem__ = put
    resources.Store.__delitem__ = remove
    resources.Store.dump_to_disk = save
    load()
    web.run_app(server.app, sock=socket.socket(fileno=int(descriptor)), print=None, access_log=None)

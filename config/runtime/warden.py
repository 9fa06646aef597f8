"""Waits until nobody uses an embedded server any more, and stops it: `python -m config.runtime.warden PLACE`.

Users stop the server themselves when they leave in order. A user that is killed leaves it running; then this is who
notices, because the kernel gives the lock of a dead process back.
"""

import fcntl
import os
import sys
from pathlib import Path

from config.runtime.cluster import Cluster


def watch(cluster: Cluster) -> None:
    """Return once the server has no user and is stopped, by whomever."""
    if not cluster.users.exists():
        return  # the whole place was deleted meanwhile
    users = cluster.open_users()
    stopped = False
    while not stopped:
        fcntl.flock(users, fcntl.LOCK_EX)  # granted when the last user is gone
        fcntl.flock(users, fcntl.LOCK_UN)  # a user who comes now holds the other lock and waits for this one
        with cluster.alone():
            if cluster.is_last(users):
                cluster.stop()
                stopped = True
    os.close(users)


if __name__ == "__main__":
    watch(Cluster(Path(sys.argv[1])))

"""Runs a supervisor over the programs described on the command line, as `./tandem up` would.

Usage: python -m tests.runtime.supervised DIR '[{"name": ..., "command": [...], "grace_seconds": ...}]'
"""

import json
import sys
from pathlib import Path

from config.runtime.console import Console
from config.runtime.files import DataDirectory
from config.runtime.processes import ProcessList
from config.runtime.supervisor import Program, Supervisor

if __name__ == "__main__":
    data = DataDirectory(Path(sys.argv[1]))
    data.make()
    Supervisor(
        [Program(**description) for description in json.loads(sys.argv[2])],
        logs=data.logs,
        process_list=ProcessList(data.processes, data.run),
        console=Console(),
    ).run()

"""docs/reference/calls.md: every call with curl and in Python."""

import json

from config.openapi import openapi_document
from config.openapi.calls import PREPARED, Call, calls_of

HEAD = f"""# Calls

Written from the OpenAPI document by `./tandem check --write`; a test runs these pieces against a running server. The
same as a page of the server: `/docs/calls`. Set `TANDEM_URL`, such as `http://127.0.0.1:8000`, and `TANDEM_KEY`. Every
piece of Python begins with

```python
{PREPARED}```
"""


def calls_page() -> str:
    """Return the page."""
    return "\n".join([HEAD, *(_section(call) for call in calls_of(json.loads(openapi_document())))])


def _section(call: Call) -> str:
    parts = [
        f"## {call.summary}\n\n`{call.address}`\n\n{call.description}",
        f"```bash\n{call.curl}\n```",
        f"```python\n{call.python}```",
    ]
    if call.answer:
        parts.append(f"{call.status}:\n\n```json\n{call.answer}\n```")
    return "\n\n".join(parts) + "\n"

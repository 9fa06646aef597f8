"""Links between calls: what an answer shows can be asked for by the calls that take its id."""

import re
from typing import Any

from config.openapi.examples import PREFIXES
from config.openapi.operations import operations_of

Document = dict[str, Any]

_KINDS = {prefix: kind for kind, prefix in PREFIXES.items()}


def add_links(document: Document) -> None:
    """Let answers that make or list objects tell which calls go on with one of them."""
    targets = [target for _, _, operation in operations_of(document) if (target := _target(operation))]
    for _, _, operation in operations_of(document):
        for response in operation["responses"].values():
            kind, place = _shown(document, response)
            links = [_link(operation, target, place) for target in targets if kind and target[1] == kind]
            if any(links):
                response["links"] = {link["operationId"]: link for link in links if link}


def _target(operation: Document) -> tuple[Document, str, str] | None:
    """Return a call, which kind of object it takes the id of, and the parameter for it."""
    parts = [parameter for parameter in operation["parameters"] if parameter["in"] == "path"]
    if not parts:
        return None
    last = parts[-1] if len(parts) == 1 else min(parts, key=lambda part: part["name"] in _owners(parts))
    return operation, _kind_of(last), last["name"]


def _owners(parts: list[Document]) -> set[str]:
    """Of several ids in one path, all but the last are of what owns the object."""
    return {part["name"] for part in parts if part["name"] in ("order_id", "endpoint_id")}


def _kind_of(parameter: Document) -> str:
    if parameter["name"] == "sku":
        return "product"
    prefix = re.search(r"`([a-z]+)_…`", parameter.get("description", ""))
    return _KINDS.get(prefix[1], "") if prefix else ""


def _shown(document: Document, response: Document) -> tuple[str, str]:
    """Return which kind of object an answer shows, and where in it the id stands."""
    reference = response.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
    properties = _properties(document, reference)
    items = properties.get("data", {}).get("items", {}).get("$ref", "")
    if items:
        return _object_of(_properties(document, items)), "/data/0/id"
    return _object_of(properties), "/id"


def _properties(document: Document, reference: str) -> Document:
    schema = document["components"]["schemas"].get(reference.rpartition("/")[2], {})
    properties: Document = schema.get("properties", {})
    return properties


def _object_of(properties: Document) -> str:
    kinds = properties.get("object", {}).get("enum", [""])
    return str(kinds[0])


def _link(source: Document, target: tuple[Document, str, str], place: str) -> Document | None:
    """Return the link from an answer of `source`; None where the target needs more than the answer knows."""
    operation, _, name = target
    known = {parameter["name"] for parameter in source["parameters"] if parameter["in"] == "path"}
    if name in known or operation is source:
        return None
    parameters = {f"path.{name}": f"$response.body#{place}"}
    for parameter in operation["parameters"]:
        if parameter["in"] == "path" and parameter["name"] != name:
            if parameter["name"] not in known:
                return None
            parameters[f"path.{parameter['name']}"] = f"$request.path.{parameter['name']}"
    return {"operationId": operation["operationId"], "parameters": parameters}

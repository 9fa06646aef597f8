"""The OpenAPI document: what the views say of themselves, completed, with examples for everything."""

from config.openapi.document import ApiKeyScheme, complete, openapi_document

__all__ = ["ApiKeyScheme", "complete", "openapi_document"]

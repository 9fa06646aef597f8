"""The customers' door over HTTP, beside minimal DRF views that stand on the same server."""

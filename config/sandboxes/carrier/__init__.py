"""The carrier sandbox: labels over HTTP, tracking by signed callbacks."""

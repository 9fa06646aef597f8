"""Webhooks: what happened, sent to endpoints that their owners choose. It knows no domain.

The upper apps say what there is to send (source.py), offer it (offering.py) and let owners keep their endpoints
(endpoints.py). serving.py sends, through the engine: one turn at a time per endpoint, retries by a schedule, health in
the endpoint's row. See docs/decisions/0023.
"""

"""The API's addresses, below /api/v1/."""

from django.urls import path

from orders.api import catalogue, events, keys, orders, returns, webhooks

api_urls = [
    path("orders", orders.OrdersView.as_view(), name="orders"),
    path("orders/<str:order_id>", orders.OrderView.as_view(), name="order"),
    path("orders/<str:order_id>/cancellation", orders.CancellationView.as_view(), name="order-cancellation"),
    path("orders/<str:order_id>/progress", orders.ProgressView.as_view(), name="order-progress"),
    path("orders/<str:order_id>/timeline", orders.TimelineView.as_view(), name="order-timeline"),
    path("orders/<str:order_id>/payments", orders.PaymentsView.as_view(), name="order-payments"),
    path("orders/<str:order_id>/shipments", orders.ShipmentsView.as_view(), name="order-shipments"),
    path("orders/<str:order_id>/returns", returns.OrderReturnsView.as_view(), name="order-returns"),
    path("returns/<str:return_id>", returns.ReturnView.as_view(), name="return"),
    path("products", catalogue.ProductsView.as_view(), name="products"),
    path("products/<str:sku>", catalogue.ProductView.as_view(), name="product"),
    path("events", events.EventsView.as_view(), name="events"),
    path("events/<str:event_id>", events.EventView.as_view(), name="event"),
    path("webhook_endpoints", webhooks.EndpointsView.as_view(), name="webhook-endpoints"),
    path("webhook_endpoints/<str:endpoint_id>", webhooks.EndpointView.as_view(), name="webhook-endpoint"),
    path("webhook_endpoints/<str:endpoint_id>/rotation", webhooks.RotationView.as_view(), name="webhook-rotation"),
    path("webhook_endpoints/<str:endpoint_id>/test", webhooks.TestView.as_view(), name="webhook-test"),
    path(
        "webhook_endpoints/<str:endpoint_id>/deliveries", webhooks.DeliveriesView.as_view(), name="webhook-deliveries"
    ),
    path(
        "webhook_endpoints/<str:endpoint_id>/deliveries/<str:delivery_id>/redelivery",
        webhooks.RedeliveryView.as_view(),
        name="webhook-redelivery",
    ),
    path("webhook_endpoints/<str:endpoint_id>/replay", webhooks.ReplayView.as_view(), name="webhook-replay"),
    path("account", catalogue.AccountView.as_view(), name="account"),
    path("api_keys", keys.ApiKeysView.as_view(), name="api-keys"),
    path("api_keys/<str:key_id>", keys.ApiKeyView.as_view(), name="api-key"),
    path("api_keys/<str:key_id>/rotation", keys.RotationView.as_view(), name="api-key-rotation"),
]

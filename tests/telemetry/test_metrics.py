from __future__ import annotations

from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from app.telemetry.metrics import Metrics


def test_what_was_counted_is_rendered_under_its_public_name() -> None:
    metrics = Metrics()
    metrics.accepted.labels(client="checkout", campaign="login-otp").inc()
    metrics.accept_seconds.observe(0.0007)
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    assert b'relay_messages_accepted_total{campaign="login-otp",client="checkout"} 1.0' in body
    assert b'relay_accept_seconds_bucket{le="0.001"} 1.0' in body
    assert b"_created" not in body
    assert all(family.name.startswith("relay_") for family in text_string_to_metric_families(body.decode()))


def test_each_instance_counts_for_itself_and_leaves_the_global_registry_alone() -> None:
    before = {family.name for family in REGISTRY.collect()}
    one, other = Metrics(), Metrics()
    one.replayed.labels(client="a").inc()
    assert b'client="a"' not in other.render()[0]
    assert {family.name for family in REGISTRY.collect()} == before

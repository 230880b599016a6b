"""Every metric of the service, by name.

Owns the names and the buckets. One `Metrics` a process, handed around by parameter, on a registry of its own:
the library's global registry is never touched. A label is a configured name or one of a fixed set of words,
never a number, an id, a URL or a secret.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_ACCEPT_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_REQUEST_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SUBMIT_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_OUTCOME_S = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
_CALLBACK_DELAY_S = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 21600.0, 86400.0)
_BATCH = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)


class Metrics:
    """The process's metrics, labelled by name: `metrics.accepted.labels(client=…, campaign=…).inc()`."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nothing here reads
        self.registry = CollectorRegistry(auto_describe=True)
        self._declare_intake()
        self._declare_queue()
        self._declare_imports()
        self._declare_outcomes()
        self._declare_callbacks()
        self._declare_configuration()

    def render(self) -> tuple[bytes, str]:
        """What `/metrics` answers: body and content type, in Prometheus' text format."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _declare_intake(self) -> None:
        self.accepted = self._counter("relay_messages_accepted", "Messages accepted.", "client", "campaign")
        self.refused = self._counter(
            "relay_requests_refused", "Requests refused, by problem type.", "status", "type"
        )
        self.replayed = self._counter("relay_idempotent_replays", "First answers given again.", "client")
        self.accept_seconds = self._histogram("relay_accept_seconds", "From request to 202.", _ACCEPT_S)
        self.redis_errors = self._counter("relay_redis_errors", "Redis calls that failed.", "operation")

    def _declare_queue(self) -> None:
        self.queue_depth = self._gauge("relay_queue_depth", "Messages queued.", "campaign")
        self.queue_oldest_seconds = self._gauge(
            "relay_queue_oldest_seconds", "Age of the oldest queued message.", "campaign"
        )
        self.campaign_held = self._gauge(
            "relay_campaign_held",
            "1 while the campaign is held for the reason, else 0.",
            "campaign",
            "reason",
        )

        self.campaign_ceiling_used_ratio = self._gauge(
            "relay_campaign_ceiling_used_ratio",
            "Calls of the last hour by max_per_hour, where there is one.",
            "campaign",
        )

    def _declare_imports(self) -> None:
        self.imports = self._counter("relay_imports", "Imports sent.", "campaign", "result")
        self.import_seconds = self._histogram(
            "relay_import_seconds", "The provider's time for an import.", _REQUEST_S, "campaign"
        )
        self.contacts = self._counter("relay_contacts", "Contacts imported.", "campaign", "result")
        self.submit_delay_seconds = self._histogram(
            "relay_submit_delay_seconds", "From accept to import.", _SUBMIT_S, "campaign"
        )
        self.batch_size = self._histogram("relay_batch_size", "Contacts in an import.", _BATCH, "campaign")
        self.tokens_made = self._counter("relay_tokens_made", "Access tokens asked for.", "account", "result")
        self.account_locked = self._gauge(
            "relay_account_locked", "1 while the provider rejects the account's secret_key.", "account"
        )

    def _declare_outcomes(self) -> None:
        self.outcomes = self._counter(
            "relay_outcomes", "Messages that reached a final state.", "campaign", "state", "reason"
        )
        self.outcome_delay_seconds = self._histogram(
            "relay_outcome_delay_seconds", "From import to final state.", _OUTCOME_S, "campaign"
        )
        self.export_requests = self._counter("relay_export_requests", "Export pages asked for.", "source")
        self.export_rows = self._counter("relay_export_rows", "Export rows read.", "source")
        self.rows_unexplained = self._counter(
            "relay_rows_unexplained", "Export rows that no message explains.", "source"
        )

    def _declare_callbacks(self) -> None:
        self.callback_attempts = self._counter(
            "relay_callback_attempts", "Callbacks sent.", "client", "result"
        )
        self.callback_seconds = self._histogram(
            "relay_callback_seconds", "Duration of one callback attempt.", _REQUEST_S, "client"
        )
        self.callback_delay_seconds = self._histogram(
            "relay_callback_delay_seconds", "From event to receipt.", _CALLBACK_DELAY_S, "client"
        )

    def _declare_configuration(self) -> None:
        self.config_loaded = self._gauge(
            "relay_config_loaded_timestamp_seconds", "When the configuration in force was taken up."
        )
        self.config_refused = self._gauge(
            "relay_config_reload_failed",
            "1 while the newest configuration is refused and an older is in force.",
        )

    def configuration_taken_up(self) -> None:
        """A configuration is in force from now on."""
        self.config_loaded.set_to_current_time()
        self.config_refused.set(0)

    def configuration_refused(self, refused: bool) -> None:
        """A newer one was refused; or the newest is the one in force again."""
        self.config_refused.set(int(refused))

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(name, says, labels, registry=self.registry)

    def _gauge(self, name: str, says: str, *labels: str) -> Gauge:
        return Gauge(name, says, labels, registry=self.registry)

    def _histogram(self, name: str, says: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, says, labels, registry=self.registry, buckets=buckets)

"""What a server's log looks like: lines for people, or JSON for programs, one event a line."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]

FIELDS = (
    "protocol",
    "stream",
    "model",
    "model_version",
    "models",
    "address",
    "peer",
    "call",
    "caller",
    "method",
    "permission",
    "status",
    "how",
    "frames",
    "missed",
    "streams",
    "seconds",
)
"""What an event may say of itself besides its message; whatever else a record carries stays out of the log."""


def configure_log(form: LogFormat, level: int) -> None:
    """Have the process's log written to standard error in this form, from this level on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])


class JsonLines(logging.Formatter):
    """One JSON object a line.

    Always there: `time` (RFC 3339, UTC), `level` (debug, info, warning, error), `event` (a stable word, "log" where the
    event has none), `logger` and `message`; of FIELDS those that the event has; `exception` where there was one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See above."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "log"),
            **{name: getattr(record, name) for name in FIELDS if hasattr(record, name)},
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)

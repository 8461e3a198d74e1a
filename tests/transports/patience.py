"""For how long tests wait for what comes at once, on a machine that may stall for seconds, and again."""

from meshinfer.transports.base import LinkLimits

PATIENCE_S = 60.0
PATIENT = LinkLimits(dial_timeout_s=PATIENCE_S, send_timeout_s=PATIENCE_S, close_timeout_s=PATIENCE_S)

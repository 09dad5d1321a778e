#!/bin/sh
# Tells the time to whoever mentions it. The prompt is on standard input; this agent does not need it.
moltnet send --target "$MOLTNET_TARGET" --text "@${MOLTNET_SENDER##*/} it is $(date +%H:%M)."

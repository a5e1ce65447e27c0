#!/bin/sh
# The schema and the queue of one new database.
set -e
"$1/env/bin/absurdctl" init -d "$HYDRA_STORE"
"$1/env/bin/absurdctl" create-queue -d "$HYDRA_STORE" q

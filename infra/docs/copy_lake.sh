#!/usr/bin/env bash
# A copy of a lake that is of one moment: infra/docs/recovery.md says why, and what it is for.
#   infra/docs/copy_lake.sh gs://PROJECT-millrace-lake gs://ELSEWHERE-millrace-lake-copy
# Passes go on until one has nothing to do; ends with an error where gcloud does, or after PASSES.
set -euo pipefail

if (($# != 2)); then
    echo "usage: $0 gs://LAKE gs://COPY" >&2
    exit 2
fi
passes=${PASSES:-50}

sync() {
    gcloud storage rsync --recursive --delete-unmatched-destination-objects "$@"
}

sync "$1" "$2"
for ((pass = 1; pass <= passes; pass++)); do
    # Into a variable, so that a gcloud that fails ends this, too: "nothing to do" is its silence.
    left=$(sync --exclude='^inference-log/' --dry-run "$1" "$2" 2>&1) || {
        echo "$left" >&2
        exit 1
    }
    if ! grep -qi '^ *would ' <<<"$left"; then
        echo "$2 is $1 as it was between two passes (pass $pass found nothing to do)."
        exit 0
    fi
    sync --exclude='^inference-log/' "$1" "$2"
done
echo "the lake changed during each of $passes passes: copy when less is at work, or pause what starts work" >&2
exit 1

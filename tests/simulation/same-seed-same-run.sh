#!/usr/bin/env bash
# same-seed-same-run.sh SIMULATE: two runs of the same seeds must have the same events.
set -euo pipefail
one=$("$1" --seeds 101-112 --commands 2000 --hashes | grep '^seed')
two=$("$1" --seeds 101-112 --commands 2000 --hashes | grep '^seed')
[[ $(wc -l <<<"$one") == 12 && $one == "$two" ]] || { diff <(echo "$one") <(echo "$two"); exit 1; }
# and other seeds have others
[[ $(cut -d' ' -f4 <<<"$one" | sort -u | wc -l) == 12 ]]

#!/usr/bin/env bash
# A Redis for the tests of the queue: nothing to do where there is one, else Debian's or Ubuntu's through apt-get.
# Where it cannot be had, these tests skip themselves and say why.
set -uo pipefail

command -v redis-server >/dev/null && exit 0
command -v apt-get >/dev/null || exit 0
as_root=()
if [ "$(id -u)" != 0 ]; then
  sudo -n true 2>/dev/null || exit 0
  as_root=(sudo -n)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get install -y -qq --no-install-recommends redis-server >/dev/null 2>&1 ||
  { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" apt-get install -y -qq --no-install-recommends redis-server; } >/dev/null 2>&1 ||
  echo "redis-server could not be installed; the tests that need it are skipped." >&2
exit 0

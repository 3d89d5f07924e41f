#!/usr/bin/env bash
# A browser for the tests: nothing to do where there is one, else Debian's or Ubuntu's through apt-get.
set -euo pipefail

for name in "${STUDIO_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
  if [ -n "$name" ] && command -v "$name" >/dev/null; then exit 0; fi
done

if ! command -v apt-get >/dev/null; then
  echo "The browser tests need Chromium, and there is no apt-get here to install it: install it, or name one in STUDIO_CHROMIUM." >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    echo "The browser tests need Chromium, which needs an administrator: sudo apt-get install chromium" >&2
    exit 1
  fi
  as_root=(sudo -n)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends chromium

#!/usr/bin/env bash
# Run as root by setup: install-packages.sh PACKAGE... installs them without starting what they bring along.
#
# nginx and supervisor come with system services, and nginx's would take port 80. We run both by ourselves from an installation's home, so
# while we install, policy-rc.d tells dpkg to start nothing, and services that were not here before are not started at boot either.
set -euo pipefail

policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

new_services=()
for service in nginx supervisor etcd; do
	[[ " $* " != *" $service "* && " $* " != *" $service-server "* ]] || new_services+=("$service")
done

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
log=$(mktemp)
apt-get install -y -qq --no-install-recommends "$@" >"$log" 2>&1 || {
	tail -n 30 "$log" >&2
	echo "setup: apt-get failed; all of its words are in $log" >&2
	exit 1
}
rm -f "$log"

for service in "${new_services[@]}"; do
	update-rc.d "$service" disable >/dev/null
done

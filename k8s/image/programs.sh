#!/usr/bin/env bash
# programs.sh OUT [BUILD]: lays out in OUT what the image has beside Debian's packages. Without BUILD, the folder of a release build, it installs what building needs
# and builds first: so in the Dockerfile. A folder `prebuilt` in the root is such an OUT, made on another Debian 12, and is taken as it is.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$1 build=${2:-}

if [[ -d prebuilt ]]; then
	mkdir -p "$out"
	cp -a prebuilt/. "$out"
	exit
fi

python=/usr/bin/python3
source scripts/setup.sh
if [[ ! $build ]]; then
	bash scripts/install-packages.sh "${packages_to_build[@]}"
	fetch_googleapis
	build release "${programs[@]}"
	build=build/release
fi
for program in "${programs[@]}"; do
	case $program in
	flashsale-*) install -D --strip -m 755 "$build/bin/$program" "$out/usr/local/bin/$program" ;;
	*) install -D --strip -m 644 "$build/bin/$program.so" "$out/usr/local/lib/flashsale/$program.so" ;;
	esac
done
install -D -m 755 k8s/image/flashsale "$out/usr/local/bin/flashsale"
install -D -m 644 gatekeeper/nginx/nginx.conf.in "$out/usr/local/share/flashsale/nginx.conf.in"
install -D -m 644 scripts/installation/demo-sale.txt "$out/usr/local/share/flashsale/demo-sale.txt"
install -D -m 644 LICENSE "$out/usr/local/share/doc/flashsale/LICENSE"

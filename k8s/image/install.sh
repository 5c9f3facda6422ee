#!/usr/bin/env bash
# Run by the Dockerfile in its second stage: the shared libraries that the programs are linked with, and nginx; nothing else.
set -euo pipefail

libraries=(
	libgrpc29 libprotobuf-c1 liblmdb0 libcurl4 libc-ares2 libssl3 libmicrohttpd12 libjansson4 libyajl2 libjwt0
	libpcre2-8-0 libcrypt1 zlib1g # nginx's
)

export DEBIAN_FRONTEND=noninteractive
# No documentation, as in the slim base; and no service is started while it is installed.
printf 'path-exclude /usr/share/%s/*\n' doc man locale info lintian >/etc/dpkg/dpkg.cfg.d/flashsale
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d

apt-get update -qq
apt-get upgrade -y -qq # the base is pinned, its repairs are not
apt-get install -y -qq --no-install-recommends "${libraries[@]}"
# By dpkg: the package wants iproute2 too, for a command of its system service.
cd /tmp
apt-get download -qq nginx nginx-common
dpkg --force-depends --install nginx*.deb

rm -rf /tmp/* /var/lib/apt/lists/* /var/cache/* /var/log/* /usr/sbin/policy-rc.d /etc/nginx /var/www /usr/share/nginx
mkdir -p /var/cache /var/log /run/flashsale /var/lib/flashsale

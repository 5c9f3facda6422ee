# Sourced by ./flashsale, in the project's root: what building, running and testing need, and the build itself.

packages_to_build=( # k8s/image/programs.sh installs these alone
	build-essential cmake ninja-build pkg-config git
	libgrpc-dev protobuf-compiler protobuf-c-compiler libprotobuf-c-dev libprotobuf-dev grpc-proto
	libcurl4-openssl-dev libc-ares-dev liblmdb-dev nginx-dev libpcre2-dev zlib1g-dev libssl-dev libmicrohttpd-dev libxxhash-dev
	liburcu-dev libyajl-dev libbsd-dev libjansson-dev libyaml-dev libjwt-dev uthash-dev libcmocka-dev
	python3 python3-pip unzip ca-certificates
)
packages=(
	"${packages_to_build[@]}"
	# to run
	nginx supervisor lmdb-utils curl procps openssl
	# to test and measure
	python3-grpcio python3-protobuf python3-pytest python3-pytest-xdist python3-requests wrk clang-format gcovr clang libclang-rt-14-dev python3-yaml buildah debootstrap
)

googleapis_version=1.62.0 # newer ones use proto3 `optional`, which protoc-c does not know
googleapis_sha256=4750113612205514f9f6aa4cb00d523a94f3e8c06c5ad2fee466387dc4875f07

go_version_min=24        # 1.24: what the tools' go.mod ask for
go_toolchain=1.24.4      # fetched when the system's Go is older, as Debian 12's is

setup() {
	local missing=()
	if is_debian_12; then
		mapfile -t missing < <(missing_packages)
		if ((${#missing[@]})); then
			install_packages "${missing[@]}"
		fi
	else
		require_programs
	fi
	fetch_googleapis
}

is_debian_12() {
	grep -qs '^ID=debian$' /etc/os-release && grep -qs '^VERSION_ID="12"$' /etc/os-release
}

missing_packages() {
	local wanted=("${packages[@]}") installed
	command -v go >/dev/null || wanted+=(golang-go)
	command -v node >/dev/null || wanted+=(nodejs) # runs the solver of challenges that is meant for browsers
	# dpkg-query fails when it does not know one of the names, and tells of the others all the same.
	installed=$({ dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${wanted[@]}" 2>/dev/null || true; } | sed -n 's/^ii  *//p')
	comm -23 <(printf '%s\n' "${wanted[@]}" | sort -u) <(sort -u <<<"$installed")
}

install_packages() {
	local as_root=()
	if ((EUID != 0)); then
		command -v sudo >/dev/null ||
			fail "setup: these packages are missing, and installing them needs root or sudo: $*"
		as_root=(sudo)
	fi
	echo "setup: installing $*"
	"${as_root[@]}" bash scripts/install-packages.sh "$@"
}

# Not Debian 12: name what is missing and leave the installing to people.
require_programs() {
	local missing=() name
	for name in cc cmake ninja pkg-config git protoc protoc-c nginx supervisord python3 unzip curl wrk go node; do
		PATH=$PATH:/usr/sbin:/sbin command -v "$name" >/dev/null || missing+=("program $name")
	done
	if command -v pkg-config >/dev/null; then
		for name in grpc libprotobuf-c lmdb libcurl libcares libmicrohttpd libxxhash liburcu-cds yajl jansson libjwt openssl cmocka; do
			pkg-config --exists "$name" || missing+=("library $name")
		done
	fi
	for name in supervisor grpc google.protobuf pytest requests pip; do
		"$python" -c "import $name" 2>/dev/null || missing+=("module $name of $python")
	done
	[[ -d /usr/share/nginx/src ]] || missing+=("nginx's headers and configure in /usr/share/nginx/src")
	((${#missing[@]} == 0)) && return
	printf 'flashsale: this is not Debian 12, so nothing is installed for you. Missing:\n' >&2
	printf '  %s\n' "${missing[@]}" >&2
	exit 2
}

# google/api and google/rpc, the protos that ours import. The build reads them from .deps/googleapis.
fetch_googleapis() {
	local to=.deps/googleapis from
	[[ -f $to/.version && $(<$to/.version) == "$googleapis_version" ]] && return
	echo "setup: fetching googleapis-common-protos $googleapis_version"
	from=$(mktemp -d)
	echo "googleapis-common-protos==$googleapis_version --hash=sha256:$googleapis_sha256" >"$from/requirements.txt"
	"$python" -m pip download --quiet --no-deps --require-hashes -d "$from" -r "$from/requirements.txt"
	unzip -q "$from"/googleapis_common_protos-*.whl 'google/*.proto' -d "$from/tree"
	mkdir -p "$to"
	cp -r --preserve=timestamps "$from/tree/google" "$to/"
	echo "$googleapis_version" >"$to/.version"
	rm -rf "$from"
}

# need_tools NAME...: programs that Debian does not have, built into .deps/bin from tools/go.mod, or from tools/NAME/go.mod where there is one.
need_tools() {
	local name shared=()
	for name in "$@"; do
		if [[ -f tools/$name/go.mod ]]; then
			build_tools "tools/$name" "$name" || return
		else
			shared+=("$name")
		fi
	done
	((${#shared[@]} == 0)) || build_tools tools "${shared[@]}"
}

# build_tools MODULE NAME... They are only tests' counterparts: not optimised, they are built in two thirds of the time. One at a time: who waited finds them there.
build_tools() {
	local module=$1 lock status=0 names
	names=$(missing_tools "$@")
	[[ $names ]] || return 0
	mkdir -p .deps/bin
	exec {lock}>.deps/bin/.lock
	flock "$lock"
	names=$(missing_tools "$@")
	[[ ! $names ]] || build_missing_tools "$module" $names || status=$?
	exec {lock}>&-
	return "$status"
}

stamp_of_tools() {
	cat "$1/go.mod" "$1/go.sum" | sha256sum | cut -c1-16
}

missing_tools() {
	local module=$1 name stamp
	stamp=$(stamp_of_tools "$module")
	shift
	for name in "$@"; do
		[[ -x .deps/bin/$name && -f .deps/bin/.$name.$stamp ]] || echo "$name"
	done
}

build_missing_tools() {
	local module=$1 go name stamp packages_of_tools=() to=$PWD/.deps/bin/
	stamp=$(stamp_of_tools "$module")
	shift
	for name in "$@"; do
		packages_of_tools+=("$(sed -n "s|^	_ \"\(.*/$name\(/v[0-9]*\)\?\)\"$|\1|p" "$module/tools.go")")
	done
	find_go || return
	echo "setup: building $* (once)"
	(cd "$module" && GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS=-mod=readonly nice "$go" build -trimpath -buildvcs=false \
		-gcflags='all=-N -l' -ldflags='-s -w' -o "$to" "${packages_of_tools[@]}" 2> >(grep -v '^go: downloading' >&2)) || return
	for name in "$@"; do
		rm -f .deps/bin/."$name".*
		touch ".deps/bin/.$name.$stamp"
	done
}

# The one on the PATH, else ours: 130 MB and some minutes of building.
need_consul() {
	command -v consul >/dev/null || need_tools consul
}

# For k8s/: what renders it and checks it, and the description of Kubernetes' API, which is in the module of the version that tools/kubernetes names.
need_kubernetes() {
	local to=.deps/kubernetes module
	need_tools kustomize kubeconform grpcurl || return
	[[ -f $to/swagger.json && $to/swagger.json -nt tools/kubernetes/go.mod ]] && return
	find_go || return
	module=$(cd tools/kubernetes && GOTOOLCHAIN=local GOFLAGS=-mod=readonly "$go" mod download -json k8s.io/kubernetes | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
	mkdir -p "$to"
	cp --no-preserve=mode "$module/api/openapi-spec/swagger.json" "$to/swagger.json.$BASHPID"
	mv "$to/swagger.json.$BASHPID" "$to/swagger.json"
}

# And a real API server, for test kubernetes --full: some minutes of building, the first time.
need_api_server() {
	build_tools tools/kubernetes kubectl
	build_tools tools/kubernetes kube-apiserver
	command -v etcd >/dev/null || PATH=$PATH:/usr/sbin command -v etcd >/dev/null || install_packages etcd-server
}

# Sets `go` to one that is new enough; an old one can fetch a newer as a module, checked by Go's checksum database.
find_go() {
	local name="go$go_toolchain.linux-$(go env GOARCH)" fetched
	go=$(command -v go)
	go_is_new_enough "$go" && return
	go=$PWD/.deps/$name/bin/go
	[[ -x $go ]] && return
	echo "setup: fetching Go $go_toolchain"
	fetched=$(go mod download -json "golang.org/toolchain@v0.0.1-$name" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
	rm -rf ".deps/$name.part"
	cp -r "$fetched" ".deps/$name.part"
	chmod -R u+w ".deps/$name.part"
	chmod +x ".deps/$name.part/bin/"* ".deps/$name.part/pkg/tool/"*/* # an old Go unpacks modules without this bit
	mv ".deps/$name.part" ".deps/$name"
}

go_is_new_enough() {
	local version
	version=$(GOTOOLCHAIN=local "$1" env GOVERSION) # go1.26.8
	[[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= go_version_min))
}

# What `up` runs; the rest of a build is for tests.
programs=(flashsale-inventory flashsale-cart flashsale-policy flashsale-protector ngx_http_flashsale_module)

# build PRESET [TARGET...]: one at a time in a folder.
build() {
	local preset=$1 lock
	shift
	mkdir -p build
	exec {lock}>"build/.$preset.lock"
	flock "$lock"
	# Good inside a condition too, where the shell's -e does not hold.
	local status=0
	{ [[ -f build/$preset/build.ninja ]] || configure "$preset"; } &&
		cmake --build "build/$preset" ${FLASHSALE_JOBS:+-j "$FLASHSALE_JOBS"} ${1:+--target "$@"} || status=$?
	exec {lock}>&-
	return "$status"
}

# `fuzz` is `debug` by clang, which has the fuzzer.
configure() {
	case $1 in
	fuzz) cmake --preset debug -B build/fuzz -DCMAKE_C_COMPILER=clang ;;
	*) cmake --preset "$1" ;;
	esac
}

# The same, with the compiler's words only when it fails.
build_quietly() {
	local log=build/$1.log
	mkdir -p build
	echo "building ($1)"
	build "$@" >"$log" 2>&1 || {
		tail -n 60 "$log" >&2
		echo "flashsale: the build failed; all of its words are in $log" >&2
		return 1
	}
}

# Sourced by ./flashsale: runs suites and counts. Each suite leaves JUnit files in build/results, the one form ctest and pytest share.

# What CI runs, cheap ones first: a slip in form is known in seconds. It has half an hour, so there, when no suite is named, some are run by turns: a third of the
# mutants, half of the system tests under either sanitizer, half of the crash suite's rounds. The commit says whose turn it is; a suite that is named is run whole.
every_suite=(format contracts unit coverage simulation fuzz mutants crash system system-consul kubernetes unit-asan simulation-asan system-asan unit-tsan system-tsan)

results=$PWD/build/results

# run_suites [SUITE...] [-- PYTEST_ARGUMENT...]
run_suites() {
	local suites=() mutants=() turn= commit suite failed=()
	while (($#)) && [[ $1 != -- ]]; do
		if [[ -f tests/mutants/$1.patch ]]; then mutants+=("$1"); else suites+=("$1"); fi
		shift
	done
	(($#)) && shift
	pytest_arguments=$*
	if ((${#suites[@]} == 0)); then
		suites=("${every_suite[@]}")
		commit=$(git rev-parse HEAD 2>/dev/null) || commit=0
		turn=$((16#${commit:0:8}))
	fi
	rm -rf "$results"
	mkdir -p "$results"
	if command -v go >/dev/null; then
		in_background tools_ahead "${suites[@]}"
		setup
	else
		setup
		in_background tools_ahead "${suites[@]}"
	fi
	[[ ! ${flag[full]:-} ]] || need_api_server
	plan_builds "${suites[@]}"
	((${#suites[@]} == 1)) || in_background build_ahead
	for suite in "${suites[@]}"; do
		echo "== $suite"
		{ need_tools_of "$suite" && run_suite "$suite" "$@"; } || failed+=("$suite")
	done
	((${#failed[@]} == 0)) || echo "failed: ${failed[*]}"
	"$python" scripts/count-results.py "$results" "${failed[@]}"
}

# What a suite needs besides packages.
need_tools_of() {
	case $1 in
	contracts) need_tools buf ;;
	system-consul) need_tools grpcurl && need_consul ;;
	system*) need_tools grpcurl ;;
	kubernetes) need_kubernetes ;;
	esac
}

# in_background FUNCTION...: while suites run, by what they leave of the processors: they wait much. What fails is made again, and told, when a suite needs it.
background=()
in_background() {
	set -m # a process group of its own, to be ended whole
	(
		renice -n 19 "$BASHPID" >/dev/null
		"$@"
	) >/dev/null 2>&1 </dev/null &
	set +m
	background+=("-$!")
	trap 'kill -- "${background[@]}" 2>/dev/null || true' EXIT
}

tools_ahead() {
	local suite
	for suite in "$@"; do
		need_tools_of "$suite" || true
	done
}

build_ahead() {
	local preset
	for preset in "${presets[@]}"; do
		build "$preset" ${targets["$preset"]} || true
	done
}

run_suite() {
	local suite=$1 preset
	shift
	preset=$(preset_of "$suite")
	[[ ! $preset ]] || build_quietly "$preset" ${targets["$preset"]} || return
	case $suite in
	format) one_check format check_format ;;
	contracts) one_check contracts check_contracts ;;
	unit*) run_ctest "$suite" "$preset" ;;
	coverage) one_check coverage check_coverage ;;
	simulation*) run_simulation "$suite" "$preset" ;;
	fuzz) run_fuzzers ;;
	mutants) "$python" tests/mutants/run.py --results "$results/$suite.xml" ${turn:+--share "$((turn % 3))/3"} "${mutants[@]}" ;;
	crash) run_crash "$@" ;;
	system-consul) FLASHSALE_TEST_DISCOVERY=consul run_pytest "$suite" release "${with_consul[@]}" "$@" ;;
	kubernetes) run_pytest kubernetes release tests/kubernetes ${flag[full]:+--full} "$@" ;;
	system*) run_pytest "$suite" "$preset" $(names_tests "$@" || system_tests "$suite") "$@" ;;
	esac
}

# The preset that a suite needs, if any.
preset_of() {
	case $1 in
	format | mutants) ;;
	coverage | fuzz) echo "$1" ;;
	*-asan) echo asan ;;
	*-tsan) echo tsan ;;
	*) echo release ;;
	esac
}

targets_of() {
	case $1 in
	contracts) echo contracts flashsale-print-contracts ;;
	unit*) echo all ;;
	coverage) echo "${covered[@]}" ;;
	simulation*) echo simulate ;;
	fuzz) echo "${fuzzers[@]%=*}" ;;
	crash) echo "${programs[@]}" witness ;;
	system* | kubernetes) echo "${programs[@]}" ;;
	esac
}

# What all suites together need of a preset is built at once: later `up`s of the tests find nothing to do, and nobody at it.
declare -A targets
presets=()
plan_builds() {
	local suite preset
	for suite in "$@"; do
		preset=$(preset_of "$suite")
		[[ $preset ]] || continue
		[[ ${targets["$preset"]:-} ]] || presets+=("$preset")
		targets["$preset"]+=" $(targets_of "$suite")"
	done
}

# Programs of tests/fuzz, with clang, and their seconds in CI: what strangers can send gets more than what only our own files hold.
fuzzers=(fuzz_consul_json=20 fuzz_consul_watch=20 fuzz_messages=20 fuzz_json_read=10 fuzz_traffic=10 fuzz_ban_watch=10 fuzz_inventory_records=5
	fuzz_cart_records=5 fuzz_protector_records=5 fuzz_ban_lists=5)

# Each begins with the seeds that are kept, goes on with what it found before, and leaves an input that it broke with in build/fuzz.
run_fuzzers() {
	local fuzzer failures=0
	export -f run_fuzzer
	for fuzzer in "${fuzzers[@]}"; do
		printf '%s %s\n' "${fuzzer%=*}" "${flag[seconds]:-${fuzzer#*=}}"
	done | xargs -P 2 -L 1 bash -c 'run_fuzzer "$@"' - || true
	for fuzzer in "${fuzzers[@]%=*}"; do
		[[ -f build/fuzz/$fuzzer.passed ]] || failures=$((failures + 1))
	done
	echo "<testsuite name=\"fuzz\" tests=\"${#fuzzers[@]}\" failures=\"$failures\"/>" >"$results/fuzz.xml"
	((failures == 0))
}

# run_fuzzer NAME SECONDS
run_fuzzer() {
	local name=$1 seconds=$2 more=() log=build/fuzz/$1.log
	rm -f "build/fuzz/$name.passed"
	mkdir -p "build/fuzz/corpus/$name"
	[[ ! -d tests/fuzz/seeds/$name ]] || more+=("tests/fuzz/seeds/$name")
	[[ ! -f tests/fuzz/$name.dict ]] || more+=("-dict=tests/fuzz/$name.dict")
	if nice "build/fuzz/bin/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -artifact_prefix="build/fuzz/$name-" \
		"build/fuzz/corpus/$name" "${more[@]}" >"$log" 2>&1; then
		touch "build/fuzz/$name.passed"
		echo "$name: $(tail -n 1 "$log")"
	else
		echo "$name: a finding"
		tail -n 40 "$log"
	fi
}

# What of tests/system runs with Consul too: its own tests, and sales from end to end.
with_consul=(tests/system/test_consul.py tests/system/test_compatible_buy.py tests/system/test_promises.py tests/system/test_services.py tests/system/test_metrics.py)

# one_check NAME COMMAND...: a command as a suite of one test.
one_check() {
	local name=$1 failures=0 status=0
	shift
	"$@" || failures=1 status=1
	echo "<testsuite name=\"$name\" tests=\"1\" failures=\"$failures\"/>" >"$results/$name.xml"
	return "$status"
}

# Headers are formatted by hand: their comments line up.
check_format() {
	local file status=0
	while read -r file; do
		clang-format --dry-run --Werror "$file" 2>/dev/null || { echo "not formatted: $file (clang-format -i)" && status=1; }
	done < <(git ls-files '*.c')
	return "$status"
}

check_contracts() {
	local status=0
	.deps/bin/buf lint build/release/generated/flashsale.binpb --config buf.yaml || status=1
	"$python" scripts/rest_reference.py build/release/bin/flashsale-print-contracts --check || status=1
	return "$status"
}

# The unit tests of the folders with engines and stores, and those of engines beside which much else lies; then what they ran.
covered_parts=(protector_{analysis{,_accounts,_addresses,_limits},bans{,_of_peers},detection,detectors,history,ladder,mix,nest,recording,records,restoring,shelf,table,window}
	gatekeeper_{ban_table,challenge,ladder})
covered=(tests/unit/base/all tests/unit/cart/all tests/unit/inventory/all "${covered_parts[@]/#/test_}")

check_coverage() {
	local parts
	parts=$(IFS='|' && echo "${covered_parts[*]}")
	find build/coverage -name '*.gcda' -delete
	ctest --test-dir build/coverage --tests-regex "^test_((base|cart|inventory)_.*|$parts)\$" --output-on-failure --no-tests=error --parallel 2 >build/coverage/tests.log ||
		{ cat build/coverage/tests.log && return 1; }
	"$python" scripts/coverage.py build/coverage tests/coverage/exclusions.txt
}

# Two tests: that a seed is one run, and as many seeds as there is time for (test --seconds N). A longer one looks at other seeds than CI.
run_simulation() {
	local suite=$1 simulate=build/$2/bin/simulate seconds=${flag[seconds]:-15} first=1 failures=0
	[[ ${flag[seconds]:-} ]] && first=$((RANDOM * 32768 + RANDOM))
	tests/simulation/same-seed-same-run.sh "$simulate" || failures=$((failures + 1))
	"$simulate" --seeds "$first-" --seconds "$seconds" || failures=$((failures + 1))
	echo "<testsuite name=\"$suite\" tests=\"2\" failures=\"$failures\"/>" >"$results/$suite.xml"
	((failures == 0))
}

run_ctest() {
	ctest --test-dir "build/$2" --label-exclude simulation --output-on-failure --no-tests=error --output-junit "$results/$1.xml" --parallel 2
}

# The faults' rounds are tests too; a round that fails says how to repeat it.
run_crash() {
	local rounds=${flag[rounds]:-$((turn ? 10 : 20))}
	run_pytest crash release tests/crash --rounds "$rounds" ${flag[seed]:+--seed "${flag[seed]}"} "$@"
}

# The files of a system suite, big ones first, for they take longest; by turns, what one sanitizer gets the other does not. Under them all but the entry script's
# own tests: those run no code of ours in C that the others do not.
system_tests() {
	local suite=$1 file number=0 mine=$((turn % 2))
	[[ $suite != *-tsan ]] || mine=$((1 - mine))
	while read -r file; do
		[[ $file != */test_consul.py ]] || continue
		[[ $file != */test_entry_script.py || $suite == system ]] || continue
		number=$((number + 1))
		[[ ! $turn || $suite == system || $((number % 2)) == "$mine" ]] || continue
		echo "$file"
	done < <(ls -S tests/system/test_*.py)
}

# Whether the arguments say which tests to run: these instead of all.
names_tests() {
	local argument
	for argument; do
		[[ ! -e ${argument%%::*} ]] || return 0
	done
	return 1
}

# run_pytest SUITE PRESET FOLDER_OR_FILE... [ARGUMENT...]
run_pytest() {
	local suite=$1 preset=$2 folder
	shift 2
	# Four files at a time, for tests wait most of their time; by hand, with arguments, one after the other, so that -s and --pdb do what they say.
	[[ $pytest_arguments ]] || set -- -n 4 --dist loadfile "$@"
	folder=$(mktemp -d -t fs-XXXXXX) # a short name: homes in it have sockets, whose paths can't be long
	PYTHONDONTWRITEBYTECODE=1 FLASHSALE_TEST_PRESET=$preset "$python" -m pytest --basetemp "$folder" --junitxml "$results/$suite.xml" \
		-o junit_suite_name="$suite" "$@" || { echo "what the tests of $suite left is in $folder" && return 1; }
	rm -rf "$folder"
}

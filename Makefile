# The short names of what one does here. meson builds; tests/run.py runs suites and counts.

BUILD = build

.PHONY: all demo check test bench fuzz format clean
all: $(BUILD)/build.ninja
	@out=$$(ninja -C $(BUILD) tapscope) || { echo "$$out"; exit 1; }

$(BUILD)/build.ninja:
	@meson setup $(BUILD) > /dev/null

# installs what is missing, builds, and shows what a capture of a real server gives
demo:
	@scripts/install-deps.sh
	@$(MAKE) --no-print-directory all
	@$(BUILD)/tapscope replay --format table pcaps/nginx-errors.pcap pcaps/mariadb-commands.pcap pcaps/redis-multi.pcap pcaps/kafka-kcat.pcap

# for each commit, in less than three minutes
check:
	@python3 tests/run.py check

# everything; installs what the tests need
test:
	@scripts/install-deps.sh --test --servers
	@python3 tests/run.py test

# BENCH=--quick is a first look in less than three minutes; docs/performance.md says what comes out
BENCH =
bench:
	@scripts/install-deps.sh --bench
	@python3 tests/bench/bench.py $(BENCH)

# FUZZ_SECONDS for each target
FUZZ_SECONDS = 60
fuzz:
	@python3 tests/run.py fuzz --seconds $(FUZZ_SECONDS)

format:
	@clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	@rm -rf build build-*/

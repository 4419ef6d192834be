# The front door. Each target is a few lines over the CMake presets (CMakePresets.json).
#
#   make deps       every package and library, for all targets, on a fresh machine
#   make build      the product, in build/release
#   make demo       the main job, on this machine, against real servers
#   make test       the test suite with ASan and UBSan, and the installed product
#   make ci         all that must be green: test, tsan, cross, soak (.ci/run)
#   make cross      armhf and arm64, the tests under qemu, sizes
#   make bench      rates, syncs, bytes, instructions, memory, against bare SQLite, beanstalkd, redis, curl (PAGE=docs/performance.md
#                   writes the page and its pictures)
#   make bench-delivery   a thousand results to one nginx, against curl
#   make soak       simulate, kill, restart, count (SECONDS=60 SEED=n, or KILLS=2000)
#   make sim        a million simulated jobs, every place of a power cut, a failed disk call and allocation; make cron
#   make cron       cron lines against a slow oracle, around every change of the clock from 2020 to 2037 in 70 zones
#   make damage     random damage to a thousand queue files (FILES=1000 SEED=1)
#   make mutants    bugs planted one at a time, and which test catches each
#   make fuzz       libFuzzer on every way in (FUZZ_SECONDS=60 each), a table at the end
#   make install PREFIX=DIR
#   make sizes      of what is built here (README=1 writes them into README.md), and by component (docs/size.md): PAGE=docs/size.md
#                   writes them there; SWITCHES=1: what each component costs, which builds each
#   make hot-functions   anew which functions lie together in the library (toolchains/hot_functions.py)
#   make minsize    armhf, as small as it gets: all of it as one static file, and the smallest library; then sizes
#   make tsan docs-check clean
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
SECONDS ?= 60
SOAK_SECONDS ?= $(SECONDS)
KILLS ?= 0
FILES ?= 1000
FUZZ_SECONDS ?= 60

# $(call configure,PRESET): quiet unless it fails
configure = mkdir -p build && { cmake --preset $(1) >build/$(1).log 2>&1 || { cat build/$(1).log; exit 1; }; }
compile = cmake --build --preset $(1) -j $(JOBS)
check = ctest --preset $(1) -j $(JOBS)
run_if_there = @test -x $(1) || { echo "$(1) is missing"; exit 1; }; $(1)

.PHONY: deps build demo test dev product tsan cross cross-armhf cross-arm64 ci bench bench-delivery soak sim cron damage mutants fuzz install sizes minsize \
  hot-functions docs-check clean

deps:
	toolchains/deps.sh all fuzz

build:
	@toolchains/deps.sh native
	@$(call configure,release)
	@$(call compile,release) --target product

demo: build
	$(call run_if_there,examples/demo/run.sh) build/release

test: dev product

dev:
	@toolchains/deps.sh native
	@$(call configure,dev)
	@$(call compile,dev)
	@$(call check,dev)

product: build
	@$(call check,release) -L product

tsan:
	@toolchains/deps.sh tsan
	@$(call configure,tsan)
	@$(call compile,tsan)
	@$(call check,tsan)

cross: cross-armhf cross-arm64
	@toolchains/sizes.sh
cross-armhf cross-arm64: cross-%:
	@toolchains/deps.sh $*
	@$(call configure,$*)
	@$(call compile,$*)
	@$(call check,$*)

ci:
	.ci/run

bench: build
	@toolchains/deps.sh bench || echo "going on without"
	@$(call compile,release) --target bench_programs
	@tests/bench/run.py build/release $(if $(PAGE),--page $(PAGE))

bench-delivery: build
	@tests/bench/delivery.py build/release

soak: build
	@$(call compile,release) --target crash_programs sim_programs
	@tests/soak/run.sh build/release $(SOAK_SECONDS) $(KILLS) $(SEED)

sim: build cron
	@$(call compile,release) --target sim_programs
	@tests/soak/sim.sh build/release

cron:
	@toolchains/deps.sh native
	@$(call configure,release)
	@$(call compile,release) --target cron_tests
	@HOLDFAST_CRON_FULL=1 build/release/tests/platform/cron_tests

damage: build
	@$(call compile,release) --target crash_damage
	@build/release/tests/crash/crash_damage --files $(FILES) $(if $(SEED),--seed $(SEED))

mutants:
	@toolchains/deps.sh native
	@tests/mutants/run.py build --jobs $(JOBS)

fuzz:
	@toolchains/deps.sh fuzz
	@$(call configure,fuzz)
	@$(call compile,fuzz) --target fuzzers
	@tests/fuzz/run.sh build/fuzz $(FUZZ_SECONDS)

install: build
	cmake --install build/release --prefix $(PREFIX) --strip

sizes:
	@toolchains/sizes.sh $(if $(README),--readme)
	@toolchains/sizes.py $(if $(SWITCHES),--switches) $(if $(PAGE),--page $(PAGE))

minsize:
	@toolchains/deps.sh armhf-small
	@$(call configure,armhf-minsize)
	@$(call compile,armhf-minsize) --target product holdfast_static_app
	@$(call configure,armhf-smallest)
	@$(call compile,armhf-smallest) --target size_programs
	@ctest --preset armhf-minsize -R '^e2e/(cli|admin_api|simulate)$$'
	@$(MAKE) --no-print-directory sizes PAGE=$(PAGE)

hot-functions: build
	@$(call compile,release) --target bench_programs
	@for build in arm64 armhf armhf-minsize; do $(MAKE) --no-print-directory archive-$$build || exit 1; done
	@toolchains/hot_functions.py
archive-%:
	@toolchains/deps.sh $(subst minsize,small,$*)
	@$(call configure,$*)
	@$(call compile,$*) --target holdfast_archive

docs-check:
	$(call run_if_there,docs/check.sh)

clean:
	rm -rf build

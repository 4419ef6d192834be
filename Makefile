# The front door. Each target is a few lines over CMake presets; see CMakePresets.json.
#
#   make deps      every package and library, on a fresh machine (all targets)
#   make build     the release build in build/release
#   make demo      the main job: an offline device that delivers everything once it is back
#   make test      the whole test suite, with ASan and UBSan
#   make ci        what must be green: test, tsan, cross, a short soak (.ci/run)
#   make cross     armhf and arm64, tests under qemu
#   make install PREFIX=DIR
#   make sizes bench soak fuzz tidy docs-check clean
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
DEPS := toolchains/deps.sh
configure = cmake --preset $(1) >build/$(1).log 2>&1 || { cat build/$(1).log; exit 1; }
ninja = cmake --build --preset $(1) -j $(JOBS)
ctest = ctest --preset $(1) -j $(JOBS)

.PHONY: deps build demo test tsan ci cross bench soak fuzz install sizes docs-check clean

deps:
	$(DEPS) all

build:
	@mkdir -p build
	@$(DEPS) native
	@$(call configure,release)
	@$(call ninja,release)

demo: build
	examples/demo/run.sh build/release/apps/holdfast

test:
	@mkdir -p build
	@$(DEPS) native
	@$(call configure,dev)
	@$(call ninja,dev)
	@$(call ctest,dev)

tsan:
	@mkdir -p build
	@$(DEPS) tsan
	@$(call configure,tsan)
	@$(call ninja,tsan)
	@$(call ctest,tsan)

cross: cross-armhf cross-arm64
	@$(MAKE) --no-print-directory sizes
.PHONY: cross-armhf cross-arm64
cross-%:
	@mkdir -p build
	@$(DEPS) $*
	@$(call configure,$*)
	@$(call ninja,$*)
	@$(call ctest,$*)

ci:
	.ci/run

install: build
	cmake --install build/release --prefix $(PREFIX)

clean:
	rm -rf build

#!/usr/bin/env bash
# Everything the build needs on a fresh machine: the host's packages, and the pinned libraries from
# source for each target, in a cache outside the clone. Quick when all is there; two may run at once.
#
#   deps.sh [--no-packages] [native|tsan|armhf|arm64|all|fuzz|bench ...]  default: native; fuzz: native, and clang; bench: native, and
#                                                                  the queues that make bench compares with
#                                                                  native-small, armhf-small, arm64-small: deps/small.sh
#   deps.sh --print-prefix TARGET                                  where its libraries are; tus: where the tus server of the tests is
#
#   HOLDFAST_CACHE   the cache (default: $XDG_CACHE_HOME/holdfast or ~/.cache/holdfast)
#   DEBIAN_MIRROR    a Debian archive's base URL (default: the one this system's apt uses)
#   JOBS             compilers at once (default: the number of processors)
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RECIPE=$HERE/deps
LOCK=$RECIPE/deps.lock
SUITE=trixie
CACHE=${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast}
JOBS=${JOBS:-$(nproc)}
. "$RECIPE/recipe.sh"

PACKAGES_BUILD=(g++ make cmake ninja-build ccache pkg-config git tcl dpkg-dev xz-utils bzip2
  ca-certificates debian-archive-keyring)
PACKAGES_TEST=(curl openssl nginx-light python3 strace faketime util-linux procps libcjson-dev
  libuv1-dev mosquitto nats-server valgrind zstd)
PACKAGES_CROSS=(g++-arm-linux-gnueabihf g++-aarch64-linux-gnu qemu-user)
PACKAGES_FUZZ=(clang libclang-rt-dev)
PACKAGES_BENCH=(beanstalkd redis-server)

say() { echo "deps: $*" >&2; }
die() { say "$*"; exit 1; }

prefix_of() {  # TARGET
  local hash
  if [ "$1" = tus ]; then
    hash=$(cat "$RECIPE"/tus/package*.json | sha256sum | cut -c1-12)
    echo "$CACHE/$1-$hash"
    return
  fi
  local small=()
  [[ $1 == *-small ]] && small=("$RECIPE/small.sh")
  hash=$(cat "$LOCK" "$RECIPE/recipe.sh" "$RECIPE/mbedtls_config.h" "${small[@]}" | sha256sum | cut -c1-12)
  echo "$CACHE/$1-$hash"
}

# ---- the host's packages -------------------------------------------------------------------------

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

install_packages() {
  command -v dpkg-query >/dev/null || { say "not a Debian system: install the tools yourself"; return 0; }
  local have missing=() package
  have=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | tr '\n' ' ')"
  for package in "$@"; do [[ $have == *" $package "* ]] || missing+=("$package"); done
  [ ${#missing[@]} = 0 ] && return 0
  say "installing ${missing[*]}"
  local apt=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -y -o DPkg::Lock::Timeout=300)
  as_root "${apt[@]}" install --no-install-recommends "${missing[@]}" >"$CACHE/apt.log" 2>&1 ||
    { as_root "${apt[@]}" update >"$CACHE/apt.log" 2>&1 &&
      as_root "${apt[@]}" install --no-install-recommends "${missing[@]}" >>"$CACHE/apt.log" 2>&1; } ||
    { tail -20 "$CACHE/apt.log" >&2; die "apt-get install failed"; }
}

# The tus server of tests/e2e/files_test.py, by npm: what is in it is pinned, with hashes, by package-lock.json. The one test that
# wants it is skipped without it.
install_tus_server() {
  local prefix
  prefix=$(prefix_of tus)
  [ -e "$prefix/.complete" ] && return 0
  command -v npm >/dev/null || (install_packages nodejs npm) || true
  command -v npm >/dev/null || { say "NOTE: there is no npm: the test against a real tus server will be skipped"; return 0; }
  say "fetching the tus server of the tests"
  rm -rf "$prefix" && mkdir -p "$prefix"
  cp "$RECIPE"/tus/package*.json "$prefix"
  if (cd "$prefix" && npm ci --omit=optional --ignore-scripts --no-audit --no-fund >"$CACHE/npm.log" 2>&1); then
    touch "$prefix/.complete"
  else
    tail -5 "$CACHE/npm.log" >&2
    say "NOTE: npm failed: the test against a real tus server will be skipped"
  fi
}

# ---- sources -------------------------------------------------------------------------------------

lock_lines() { sed -e 's/#.*//' -e '/^ *$/d' "$LOCK"; }  # package version kind file sha256
lock_packages() { lock_lines | awk '!seen[$1]++ {print $1}'; }

debian_mirror() {
  [ -n "${DEBIAN_MIRROR:-}" ] && { echo "$DEBIAN_MIRROR"; return; }
  local found
  found=$(apt-get indextargets --format '$(ORIGIN) $(RELEASE) $(REPO_URI)' 2>/dev/null |
    awk '$1 == "Debian" && $2 !~ /-security$/ {print $3; exit}')
  # No index was fetched yet: read the configuration itself.
  [ -n "$found" ] || found=$(sed -n -e 's/^URIs: *\([^ ]*\).*/\1/p' \
    -e 's/^deb  *\(\[[^]]*\] *\)\{0,1\}\([a-z+]*:[^ ]*\) .*/\2/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
    grep '/debian/*$' | head -1)
  [ -n "$found" ] || die "apt knows no Debian archive here: set DEBIAN_MIRROR"
  echo "$found"
}

# An apt of our own: its lists, cache and the one deb-src line are in the cache folder, the system's
# are not touched.
private_apt() {
  local root=$CACHE/apt key=/usr/share/keyrings/debian-archive-keyring.gpg
  export APT_CONFIG=$root/apt.conf
  [ -n "${APT_READY:-}" ] && return 0
  mkdir -p "$root/state/lists/partial" "$root/cache/archives/partial"
  cat >"$root/sources.list" <<EOF
deb-src [signed-by=$key] $(unset APT_CONFIG; debian_mirror) $SUITE main
EOF
  cat >"$root/apt.conf" <<EOF
Dir::State "$root/state"; Dir::State::status "/dev/null"; Dir::Cache "$root/cache";
Dir::Etc::SourceList "$root/sources.list"; Dir::Etc::SourceParts "/dev/null";
Acquire::Languages "none"; APT::Sandbox::User ""; Acquire::Retries "3";
EOF
  apt-get -q update >"$root/update.log" 2>&1 || { tail -5 "$root/update.log" >&2; die "apt-get update failed"; }
  APT_READY=1
}

verified() {  # PACKAGE: are its archives here, with the right hashes?
  lock_lines | awk -v p="$1" '$1 == p && $3 != "dsc" {print $5 "  " $4}' | sha256sum --check --status 2>/dev/null
}

fetch() {  # PACKAGE VERSION KIND, in $CACHE/src
  local package=$1 version=$2 kind=$3 only=()
  if verified "$package" && { [ "$kind" = orig ] || ls "${package}"_*.dsc >/dev/null 2>&1; }; then return 0; fi
  private_apt
  say "fetching $package $version"
  [ "$kind" = orig ] && only=(--tar-only)
  if ! apt-get -q source --download-only "${only[@]}" "$package=$version" >fetch.log 2>&1; then
    if ! apt-get -q source --download-only "${only[@]}" "$package" >>fetch.log 2>&1; then
      tail -5 fetch.log >&2
      die "the sources of $package could not be fetched"
    fi
    [ "$kind" = orig ] || say "NOTE: $package $version was superseded in Debian; took the newest revision." \
      "Bring toolchains/deps/deps.lock up to date."
  fi
  verified "$package" || die "the archives of $package do not have the hashes in deps.lock"
}

unpack() {  # PACKAGE KIND: into $CACHE/src/PACKAGE
  local package=$1 kind=$2 file dsc expected stamp
  stamp=$({ lock_lines | grep "^$package "; declare -f "prepare_${package//-/_}" || true; } | sha256sum | cut -c1-16)
  [ "$(cat "$package/.stamp" 2>/dev/null)" = "$stamp" ] && return 0
  rm -rf "$package" unpack
  if [ "$kind" = patched ]; then
    dsc=$(ls -t "${package}"_*.dsc | head -1)
    expected=$(lock_lines | awk -v f="$dsc" '$4 == f {print $5}')
    if [ -n "$expected" ]; then
      echo "$expected  $dsc" | sha256sum --check --status || die "$dsc does not have the hash in deps.lock"
    fi
    dpkg-source --no-check -x "$dsc" "$package" >unpack.log 2>&1 || { tail -5 unpack.log >&2; die "unpacking $dsc failed"; }
  else
    file=$(lock_lines | awk -v p="$package" '$1 == p {print $4; exit}')
    mkdir "$package" && tar -xf "$file" -C "$package" --strip-components=1
  fi
  if declare -F "prepare_${package//-/_}" >/dev/null; then
    say "preparing $package"
    (cd "$package" && "prepare_${package//-/_}")
  fi
  echo "$stamp" >"$package/.stamp"
}

# ---- building ------------------------------------------------------------------------------------

build_target() {  # TARGET
  local target=$1 tool='' package
  PREFIX=$(prefix_of "$target")
  [ -e "$PREFIX/.complete" ] && return 0
  local machine=${target%-small}
  case $machine in
    native | tsan) ;;
    armhf) tool=arm-linux-gnueabihf- ;;
    arm64) tool=aarch64-linux-gnu- ;;
    *) die "unknown target $target (native, tsan, armhf, arm64, all; native-small, armhf-small, arm64-small)" ;;
  esac
  CC=${tool}gcc CXX=${tool}g++ AR=${tool}ar NM=${tool}nm OBJCOPY=${tool}objcopy FLAGS=$(flags_of "$machine")
  WORK=$CACHE/work/$target
  rm -rf "$PREFIX" "$WORK" && mkdir -p "$PREFIX/include" "$PREFIX/lib" "$WORK"
  for package in $(lock_packages); do
    say "$target: $package"
    (set -e; [ "$machine" = "$target" ] || . "$RECIPE/small.sh"; cd "$CACHE/src/$package"; SRC=$PWD; "build_${package//-/_}")
  done
  cp "$LOCK" "$PREFIX/deps.lock"
  rm -rf "$WORK"
  touch "$PREFIX/.complete"
}

targets=() packages=1 fuzz=0 bench=0
while [ $# -gt 0 ]; do
  case $1 in
    --print-prefix) prefix_of "${2:?--print-prefix TARGET}"; exit ;;
    --no-packages) packages=0 ;;
    all) targets+=(native tsan armhf arm64) ;;
    fuzz) targets+=(native) fuzz=1 ;;
    bench) targets+=(native) bench=1 ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"; exit ;;
    *) targets+=("$1") ;;
  esac
  shift
done
[ ${#targets[@]} -gt 0 ] || targets=(native)

mkdir -p "$CACHE/src"
exec 9>"$CACHE/.lock"
flock 9
if [ $packages = 1 ]; then
  wanted=("${PACKAGES_BUILD[@]}" "${PACKAGES_TEST[@]}")
  [[ " ${targets[*]} " == *" arm"* ]] && wanted+=("${PACKAGES_CROSS[@]}")
  [ $fuzz = 0 ] || wanted+=("${PACKAGES_FUZZ[@]}")
  [ $bench = 0 ] || wanted+=("${PACKAGES_BENCH[@]}")
  install_packages "${wanted[@]}"
  install_tus_server
fi
for target in "${targets[@]}"; do
  [ -e "$(prefix_of "$target")/.complete" ] && continue
  cd "$CACHE/src"
  while read -r package version kind _; do
    fetch "$package" "$version" "$kind"
    unpack "$package" "$kind"
  done < <(lock_lines | awk '!seen[$1]++')
  build_target "$target"
done

# Sourced by the tests of an installed copy: installs into $prefix, under $work, and points pkg-config there.
"$NM" -D --defined-only "$BUILD/libholdfast.so" | grep -q hf_open || exit 77  # no C API in this tree yet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
"$CMAKE" --install "$BUILD" --prefix "$prefix" >/dev/null
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
unset PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR

shared() { pkg-config --cflags --libs holdfast "$@"; }
# The archive by its name, though the shared library lies beside it; other libraries as they come.
static() {
  echo "$(pkg-config --cflags holdfast) $(pkg-config --variable=archive holdfast)" \
    "$(pkg-config --static --libs-only-l holdfast | sed 's/-lholdfast//')"
  [ $# = 0 ] || pkg-config --cflags --libs "$@"
}
run() { LD_LIBRARY_PATH="$prefix/lib" $HOLDFAST_EMULATOR "$@"; }
build() {  # OUTPUT COMPILER...
  local output=$1
  shift
  echo "$*"
  "$@" -o "$work/$output"
}

# How the small variants of a target (armhf-small, native-small, ...) differ: sourced after recipe.sh, and part of the hash of
# their prefixes alone. For the presets minsize and smallest (docs/size.md).

# SQLite is half of what Holdfast links: for size, and without what neither Holdfast nor a guest (include/holdfast_sqlite.h)
# can reach. These may be left out of the amalgamation: its parser knows nothing of them.
SMALL_SQLITE=
for part in UTF16 TCL_VARIABLE COMPILEOPTION_DIAGS COMPLETE GET_TABLE DESERIALIZE INCRBLOB TEST_CONTROL; do
  SMALL_SQLITE+=" -DSQLITE_OMIT_$part"
done

eval "$(declare -f archive | sed '1s/archive/archive_as_ever/')"
archive() {
  local name=$1 compile=$2
  shift 2
  [ "$name" = libsqlite3.a ] && compile="${compile/ -O2 / -Os } $SMALL_SQLITE"
  archive_as_ever "$name" "$compile" "$@"
}

# cctz without streams, which bring 300 KB of locales into a static program: it has them for a version that only Fuchsia knows, and
# for a description that nobody asks for.
eval "$(declare -f build_cctz | sed '1s/build_cctz/build_cctz_as_ever/')"
build_cctz() {
  rm -rf "$WORK/cctz" && mkdir -p "$WORK/cctz" && cp -r include src LICENSE.txt "$WORK/cctz" && cd "$WORK/cctz"
  sed -i -e '/std::ifstream version_stream/,/^      }$/d' -e '/std::ostringstream oss;/d' -e '/oss << /d' -e 's/return oss.str();/return future_spec_;/' \
    src/time_zone_info.cc
  if grep -n 'ostringstream oss\|version_stream' src/time_zone_info.cc; then return 1; fi
  build_cctz_as_ever
}

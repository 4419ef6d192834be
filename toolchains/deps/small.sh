# How the small variants of a target (armhf-small, native-small, ...) differ: sourced after recipe.sh, and part of the hash of
# their prefixes alone. For the presets minsize and smallest (docs/size.md).

# SQLite is half of what Holdfast links: for size, and without what neither Holdfast nor a guest (include/holdfast_sqlite.h)
# can reach. These may be left out of the amalgamation: its parser knows nothing of them.
SMALL_SQLITE=" -DSQLITE_UNTESTABLE"  # without what its own tests ask for
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

# CLI11 without streams and locales either, 320 KB of a static program: it builds its messages in a string. What wants streams and
# is not used by Holdfast goes: files of options (its configuration is JSON), its own formatter of help, deprecated options.
eval "$(declare -f build_cli11 | sed '1s/build_cli11/build_cli11_as_ever/')"
build_cli11() {
  local to=$PREFIX/include/CLI left
  build_cli11_as_ever
  rm "$to"/{Timer,Config,Formatter}.hpp "$to"/impl/{Config,Formatter}_inl.hpp
  cat >"$to/Text.hpp" <<'EOF'
// In place of <sstream>. Of Holdfast, not of CLI11: toolchains/deps/small.sh.
#pragma once
#include <cstdio>
#include <string>
#include <type_traits>

namespace CLI {

class Text {
 public:
  std::string str() const { return text_; }
  std::size_t tellp() const { return text_.size(); }
  void precision(int digits) { digits_ = digits; }
  Text& put(char c) { return add(std::string(1, c)); }
  Text& operator<<(const std::string& s) { return add(s); }
  Text& operator<<(const char* s) { return add(s); }
  Text& operator<<(char c) { return put(c); }
  template <typename T, typename = typename std::enable_if<std::is_integral<T>::value>::type>
  Text& operator<<(T n) { return add(std::to_string(n)); }
  Text& operator<<(double x) {
    char s[40];
    std::snprintf(s, sizeof s, "%.*g", digits_, x);
    return add(s);
  }

 private:
  Text& add(const std::string& s) {
    text_ += s;
    return *this;
  }
  std::string text_{};
  int digits_ = 6;
};

class NoText {};  // in place of what is read from

}  // namespace CLI
EOF
  echo '#define CLI11_HAS_FILESYSTEM 0' >>"$to/Version.hpp"
  sed -i -E -e 's/std::(o?stringstream|ostream)\b/CLI::Text/g' -e 's/std::(istringstream|istream)\b/CLI::NoText/g' \
    -e 's/std::isspace<char>\((\w+), std::locale\(\)\)/std::isspace(static_cast<unsigned char>(\1))/' \
    -e 's/std::isalpha\((.*), std::locale\(\)\)/(std::isalpha(static_cast<unsigned char>(\1)) != 0)/' \
    -e 's/std::tolower\((\w+), std::locale\(\)\)/static_cast<char>(std::tolower(static_cast<unsigned char>(\1)))/' \
    -e '/#include <(fstream|iomanip|iostream)>/d' -e 's/#include <sstream>/#include "Text.hpp"/' "$to"/*.hpp "$to"/impl/*.hpp
  sed -i -e '/"Config.hpp"/d' -e '/"Formatter.hpp"/d' "$to/CLI.hpp"
  sed -i -e 's/{new Formatter()}/{}/' -e 's/{new ConfigTOML()}/{}/' -e '/int exit(const Error/d' "$to/App.hpp"
  sed -i -e '/std::ifstream input/,/throw FileError/d' -e 's/return from_config(input);/return {};/' "$to/ConfigFwd.hpp"
  sed -i -e '/get a value from a stream/,/^}/d' "$to/TypeTools.hpp"
  sed -i -E -e '/^CLI11_INLINE (int App::exit|void App::(parse_from|_parse)_stream)/,/^}/d' -e '/^ *_process_config_file\(\);/d' \
    -e '/^CLI11_INLINE void deprecate_option/,/^CLI11_INLINE void retire_option\(App &app, const/d' "$to/impl/App_inl.hpp"
  sed -i -E -e '/CLI::Text &$/,/^}/d' -e '/^CLI11_INLINE CLI::Text &format_aliases/,/^}/d' -e '/CLI::Text ss;/d' -e '/ss.str\(s\);/d' \
    -e 's/while\(std::getline\(ss, item, delim\)\) \{/for(std::size_t at = 0, end = 0; at < s.size(); at = end + 1) {\n            item = s.substr(at, (end = (std::min)(s.find(delim, at), s.size())) - at);/' \
    -e '/^CLI11_INLINE std::string binary_escape_string/,/^}/d' "$to/impl/StringTools_inl.hpp"
  left=$(grep -rnE 'std::(\w*stream|locale|cout|cerr|setw|getline|hex)\b' "$to" || true)
  if [ -n "$left" ]; then echo "CLI11 has changed: $left"; return 1; fi
}

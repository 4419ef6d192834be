#include "handlers/tls_fields.h"

#include <sys/stat.h>

#include <algorithm>

#include "core/names.h"
#include "platform/net/tls_words.h"

namespace hf {
namespace {

constexpr size_t kFileNameMax = 4095;

constexpr std::array<JsonChoice<TlsVersion>, 2> kVersions = {{
    {"1.2", TlsVersion::v1_2},
    {"1.3", TlsVersion::v1_3},
}};

// A PEM file, or a folder of them.
bool read_authorities(const JsonValue& v, TlsConfig* tls) {
  std::string name;
  if (!v.text(&name, kFileNameMax)) return false;
  struct stat info;
  const bool folder = stat(name.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  (folder ? tls->ca_dir : tls->ca_file) = name;
  return true;
}

bool read_suites(const JsonValue& v, TlsConfig* tls) {
  const std::span<const TlsSuite> known = tls_suites();
  std::vector<std::string> names;
  if (!v.texts(&names, known.size())) return false;
  for (size_t i = 0; i < names.size(); ++i) {
    const TlsSuite* suite = find_tls_suite(names[i]);
    if (suite == nullptr) {
      std::vector<std::string_view> words;
      for (const TlsSuite& one : known) words.push_back(one.name);
      return v.item(i).fail("there is no cipher suite " + quoted(names[i]) + did_you_mean(names[i], words) + " (there are: " + list_of(words) + ")");
    }
    if (std::find(tls->suites.begin(), tls->suites.end(), suite->number) != tls->suites.end()) return v.item(i).fail("this suite is named twice");
    tls->suites.push_back(suite->number);
  }
  return true;
}

bool read_pins(const JsonValue& v, TlsConfig* tls) {
  std::vector<std::string> texts;
  if (!v.texts(&texts, kPinsMax)) return false;
  for (size_t i = 0; i < texts.size(); ++i) {
    const Result<SpkiPin> pin = parse_pin(texts[i]);
    if (!pin) return v.item(i).fail(pin.error().message);
    if (std::find(tls->pins.begin(), tls->pins.end(), *pin) != tls->pins.end()) return v.item(i).fail("this pin is named twice");
    tls->pins.push_back(*pin);
  }
  if (texts.size() == 1) v.warn("one pin alone: when the server's key is lost or changed, nothing is delivered until each device has a new configuration; pin the key of a backup, too");
  return true;
}

bool read_alpn(const JsonValue& v, TlsConfig* tls) {
  std::vector<std::string> names;
  if (!v.texts(&names, kAlpnMax)) return false;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].size() > kAlpnBytesMax) return v.item(i).fail("the name of a protocol has at most " + std::to_string(kAlpnBytesMax) + " bytes");
    if (names[i] == "h2") return v.item(i).fail("HTTP is spoken in version 1.1 alone: http/1.1");
    if (std::find(tls->alpn.begin(), tls->alpn.end(), names[i]) != tls->alpn.end()) return v.item(i).fail("this protocol is named twice");
    tls->alpn.push_back(names[i]);
  }
  return true;
}

constexpr JsonField<TlsConfig> kFields[] = {
    {"ca", "file", [](TlsConfig& t, const JsonValue& v) { return read_authorities(v, &t); }},
    {"cert", "file", [](TlsConfig& t, const JsonValue& v) { return v.text(&t.cert_file, kFileNameMax); }},
    {"key", "file", [](TlsConfig& t, const JsonValue& v) { return v.text(&t.key_file, kFileNameMax); }},
    {"pins", "array", [](TlsConfig& t, const JsonValue& v) { return read_pins(v, &t); }},
    {"min_version", "choice", [](TlsConfig& t, const JsonValue& v) { return v.choice(&t.min_version, kVersions); }},
    {"suites", "array", [](TlsConfig& t, const JsonValue& v) { return read_suites(v, &t); }},
    {"alpn", "array", [](TlsConfig& t, const JsonValue& v) { return read_alpn(v, &t); }},
    {"dangerously_skip_verification", "bool",
     [](TlsConfig& t, const JsonValue& v) { return v.boolean(&t.dangerously_skip_verification); }},
};

}  // namespace

std::span<const JsonField<TlsConfig>> tls_fields() { return kFields; }

bool read_tls(const JsonValue& v, std::optional<TlsConfig>* tls) {
  TlsConfig& config = tls->emplace();
  if (!read_fields(v, {{kFields, config}})) return false;
  if (config.cert_file.empty() != config.key_file.empty()) {
    return v.fail("a client certificate needs both \"cert\" and \"key\"");
  }
  const bool some_1_3 = config.suites.empty() || std::any_of(config.suites.begin(), config.suites.end(), [](int number) { return find_tls_suite(number)->version == TlsVersion::v1_3; });
  if (config.min_version == TlsVersion::v1_3 && !some_1_3) {
    return v.fail("\"min_version\" is 1.3, and none of the \"suites\" is for TLS 1.3");
  }
  if (config.dangerously_skip_verification) {
    if (!config.pins.empty() || v.node().find("ca")) {
      return v.fail("\"dangerously_skip_verification\" leaves nothing to check with \"pins\" or \"ca\": one or the other");
    }
    v.warn("\"dangerously_skip_verification\": the server is not verified, anyone on the way can read and change what is sent");
  }
  return true;
}

}  // namespace hf

#include "platform/net/tls_verify.h"

#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "platform/net/address.h"
#include "platform/net/tls_words.h"

namespace hf {
namespace {

constexpr uint32_t kDateFlags = MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE;
constexpr std::string_view kCommonName = "\x55\x04\x03";  // 2.5.4.3
constexpr int kNamesShown = 3;
constexpr size_t kTextMax = 200;

std::string date_text(const mbedtls_x509_time& t) {
  char text[48];
  std::snprintf(text, sizeof text, "%04d-%02d-%02d", t.year, t.mon, t.day);
  return text;
}

// A certificate's text comes from a stranger: one line of visible characters, cut.
std::string visible(const mbedtls_x509_buf& buf) {
  std::string out;
  for (size_t i = 0; i < buf.len && out.size() < kTextMax; ++i)
    out += buf.p[i] >= 0x20 && buf.p[i] < 0x7f ? static_cast<char>(buf.p[i]) : '?';
  return out;
}

// The common name, else the last part of the name there is.
std::string short_name(const mbedtls_x509_name& name) {
  std::string out = "an unnamed issuer";
  for (const mbedtls_x509_name* it = &name; it; it = it->next) {
    if (!it->val.p) continue;
    out = visible(it->val);
    if (std::string_view(reinterpret_cast<const char*>(it->oid.p), it->oid.len) == kCommonName) break;
  }
  return out;
}

int san_type(const mbedtls_x509_sequence& san) { return san.buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK; }

std::string san_text(const mbedtls_x509_sequence& san) {
  if (san_type(san) == MBEDTLS_X509_SAN_DNS_NAME) return visible(san.buf);
  if (san_type(san) != MBEDTLS_X509_SAN_IP_ADDRESS) return "";
  Address address;
  if (san.buf.len == 4) {
    address.v4.sin_family = AF_INET;
    std::memcpy(&address.v4.sin_addr, san.buf.p, 4);
  } else if (san.buf.len == 16) {
    address.v6.sin6_family = AF_INET6;
    std::memcpy(&address.v6.sin6_addr, san.buf.p, 16);
  } else {
    return "";
  }
  return address.ip();
}

std::string names_of(const mbedtls_x509_crt& certificate) {
  std::string out;
  int shown = 0;
  for (const mbedtls_x509_sequence* san = &certificate.subject_alt_names; san && san->buf.p; san = san->next) {
    const std::string text = san_text(*san);
    if (text.empty()) continue;
    if (shown++ == kNamesShown) return out + ", ...";
    out += (out.empty() ? "" : ", ") + text;
  }
  return out.empty() ? short_name(certificate.subject) : out;
}

bool has_ip(const mbedtls_x509_crt& certificate, const std::string& ip) {
  for (const mbedtls_x509_sequence* san = &certificate.subject_alt_names; san && san->buf.p; san = san->next)
    if (san_type(*san) == MBEDTLS_X509_SAN_IP_ADDRESS && san_text(*san) == ip) return true;
  return false;
}

struct Fault {
  uint32_t flag;
  const char* text;
};
constexpr Fault kFaults[] = {
    {MBEDTLS_X509_BADCERT_REVOKED, "is revoked"},
    {MBEDTLS_X509_BADCERT_MISSING, "is missing"},
    {MBEDTLS_X509_BADCERT_KEY_USAGE, "is not meant for this use (key usage)"},
    {MBEDTLS_X509_BADCERT_EXT_KEY_USAGE, "is not meant for servers (extended key usage)"},
    {MBEDTLS_X509_BADCERT_NS_CERT_TYPE, "is not meant for servers"},
    {MBEDTLS_X509_BADCERT_BAD_MD, "has a signature with a hash that is too weak"},
    {MBEDTLS_X509_BADCERT_BAD_PK, "has a key of a kind that is not accepted"},
    {MBEDTLS_X509_BADCERT_BAD_KEY, "has a key that is too weak"},
};

}  // namespace

int64_t cert_time_ms(const mbedtls_x509_time& t) {
  using namespace std::chrono;
  const year_month_day date{year(t.year), month(static_cast<unsigned>(t.mon)),
                            day(static_cast<unsigned>(t.day))};
  const int64_t days = sys_days(date).time_since_epoch().count();
  return (days * 86400 + t.hour * 3600 + t.min * 60 + t.sec) * 1000;
}

CertCheck::CertCheck(std::string host, bool host_is_ip, std::string name, CertClock clock, std::span<const SpkiPin> pins)
    : host_(std::move(host)), host_is_ip_(host_is_ip), name_(std::move(name)), clock_(clock), pins_(pins) {}

// Called for the authority first: at depth 0 the whole chain was seen.
void CertCheck::check_pin(const mbedtls_x509_crt& certificate, int depth, uint32_t* flags) {
  if (pins_.empty() || pinned_) return;
  SpkiPin key;
  size_t size = 0;
  const psa_status_t made = psa_hash_compute(PSA_ALG_SHA_256, certificate.pk_raw.p, certificate.pk_raw.len, key.data(), key.size(), &size);
  pinned_ = made == PSA_SUCCESS && std::find(pins_.begin(), pins_.end(), key) != pins_.end();
  if (pinned_) return;
  keys_ = pin_text(key) + (depth == 0 ? " (its own)" : " (" + short_name(certificate.subject) + ")") + (keys_.empty() ? "" : ", ") + keys_;
  if (depth != 0) return;
  *flags |= MBEDTLS_X509_BADCERT_OTHER;
  pin_fault_ = "has none of the pinned keys: its chain has " + keys_;
}

void CertCheck::check_dates(const mbedtls_x509_crt& certificate, int depth, uint32_t* flags) {
  *flags &= ~kDateFlags;  // mbedTLS read the system's clock
  const int64_t from_ms = cert_time_ms(certificate.valid_from);
  const int64_t to_ms = cert_time_ms(certificate.valid_to) + 999;
  if (depth == 0 || called_) server_end_ms_ = std::min(server_end_ms_, to_ms);
  validity_ = {std::max(validity_.from_ms, from_ms), std::min(validity_.to_ms, to_ms)};
  std::string fault;
  if (clock_.wall_ms > to_ms) {
    *flags |= MBEDTLS_X509_BADCERT_EXPIRED;
    fault = "expired on " + date_text(certificate.valid_to);
  } else if (clock_.wall_ms < from_ms) {
    *flags |= MBEDTLS_X509_BADCERT_FUTURE;
    fault = "is not valid before " + date_text(certificate.valid_from);
  } else {
    return;
  }
  if (depth > 0) fault = "has an issuer (" + short_name(certificate.subject) + ") whose certificate " + fault;
  date_fault_ = std::move(fault);  // the last call is for the server's own
}

void CertCheck::check(const mbedtls_x509_crt& certificate, int depth, uint32_t* flags) {
  check_dates(certificate, depth, flags);
  check_pin(certificate, depth, flags);
  called_ = true;
  if (*flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) {
    issuer_ = short_name(certificate.issuer);
    self_signed_ = depth == 0 && certificate.issuer_raw.len == certificate.subject_raw.len &&
                   std::memcmp(certificate.issuer_raw.p, certificate.subject_raw.p,
                               certificate.issuer_raw.len) == 0;
  }
  if (depth != 0) return;
  // The session has no host name then (an address is not allowed in SNI), so mbedTLS compared none.
  if (host_is_ip_ && !has_ip(certificate, host_)) *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
  names_ = names_of(certificate);
}

NetError CertCheck::error(uint32_t flags) const {
  std::string faults;
  const auto add = [&faults](const std::string& fault) { faults += (faults.empty() ? "" : "; ") + fault; };
  if (flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) add("is for " + names_);
  if (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED)
    add(self_signed_ ? "is signed by itself alone and not trusted"
                     : "is signed by an unknown authority (" + issuer_ + ")");
  for (const Fault& fault : kFaults)
    if (flags & fault.flag) add(fault.text);
  if (!pin_fault_.empty()) add(pin_fault_);
  const bool only_dates = (flags & ~kDateFlags) == 0;
  if (flags & kDateFlags) add(date_fault_);
  if (faults.empty()) add("is not acceptable");
  const std::string message = "the certificate of " + name_ + " " + faults;
  if (only_dates && !clock_.trusted)
    return net_error(NetErrorKind::kTlsDate, message + ", by a clock that is not trusted yet");
  return net_error(NetErrorKind::kTlsVerify, message);
}

}  // namespace hf

#include "tests/crash/damaged.h"

#include <algorithm>

namespace hf::crash {
namespace {

constexpr size_t kSector = 512;

size_t below(Random& random, size_t n) { return n == 0 ? 0 : random() % n; }

std::string rubbish(Random& random, size_t size) {
  std::string out(size, 0);
  for (char& c : out) c = static_cast<char>(random() & 0xff);
  return out;
}

std::string flip(std::string& bytes, Random& random, size_t from, size_t to) {
  const size_t bits = 1 + below(random, 1 + below(random, 32));
  if (to > bytes.size()) to = bytes.size();
  if (from >= to) return "nothing to flip";
  for (size_t i = 0; i < bits; ++i) bytes[from + below(random, to - from)] ^= static_cast<char>(1 << below(random, 8));
  return std::to_string(bits) + " bits flipped";
}

// `bytes` of it, from a sector on, are of another kind.
std::string spoil(std::string& bytes, Random& random, size_t size, size_t count) {
  if (bytes.empty()) return "no sector to spoil";
  static constexpr const char* kNames[] = {"zeros", "ones", "rubbish", "another sector"};
  const size_t kind = below(random, 4);
  for (size_t i = 0; i < count; ++i) {
    const size_t at = below(random, bytes.size()) / kSector * kSector;
    const size_t n = std::min(size, bytes.size() - at);
    const size_t from = below(random, bytes.size() - n + 1) / kSector * kSector;
    const std::string with = kind == 0 ? std::string(n, '\0') : kind == 1 ? std::string(n, '\xff') : kind == 2 ? rubbish(random, n) : bytes.substr(from, n);
    bytes.replace(at, with.size(), with);
  }
  return std::to_string(count) + " x " + std::to_string(size) + " bytes of " + kNames[kind];
}

std::vector<int64_t> sectors(const std::string& bytes, Random& random) {
  std::vector<int64_t> out;
  for (size_t i = 0, count = 1 + below(random, 4); i < count && !bytes.empty(); ++i) {
    out.push_back(static_cast<int64_t>(below(random, (bytes.size() + kSector - 1) / kSector)));
  }
  return out;
}

void apply(Damage& d, const Others& others, int kind, Random& random) {
  std::string& db = d.image.db;
  std::string& log = d.image.log;
  // What is done to the log of a file without one is done to the file.
  if (kind >= 8 && kind <= 14 && !d.image.has_log && kind != 12) kind -= 8;
  if (kind >= 8 && kind <= 14) d.log_end = true;
  ++d.pieces;
  auto say = [&](const std::string& text) { d.what += (d.what.empty() ? "" : "; ") + text; };
  switch (kind) {
    case 0: return say("file: " + flip(db, random, 0, db.size()));
    case 1: return say("its header: " + flip(db, random, 0, 100));
    case 2: return say("its first pages: " + flip(db, random, 0, 16384));
    case 3: return say("file: " + spoil(db, random, kSector, 1 + below(random, 8)));
    case 4: return say("file: " + spoil(db, random, 4096 << below(random, 5), 1));
    case 5: db.resize(below(random, db.size())); return say("file: cut to " + std::to_string(db.size()));
    case 6: db += rubbish(random, 1 + below(random, 20000)); return say("file: rubbish behind its end");
    case 7: d.unreadable_db = sectors(db, random); return say("file: " + std::to_string(d.unreadable_db.size()) + " sectors cannot be read");
    case 8: return say("log: " + flip(log, random, 0, log.size()));
    case 9: return say("its header: log: " + flip(log, random, 0, 56));
    case 10: return say("log: " + spoil(log, random, kSector, 1 + below(random, 8)));
    case 11: return say("log: " + spoil(log, random, 4096 << below(random, 5), 1));
    case 12:
      if (below(random, 2) == 0) {
        d.image.log = others.queue.log;
        d.image.has_log = others.queue.has_log;
        return say("log: another queue's");
      }
      d.image.log = others.before.log;
      d.image.has_log = others.before.has_log;
      return say("log: an earlier one");
    case 13: log.resize(below(random, log.size())); return say("log: cut to " + std::to_string(log.size()));
    case 14: d.unreadable_log = sectors(log, random); return say("log: " + std::to_string(d.unreadable_log.size()) + " sectors cannot be read");
    case 15:
      d.image.has_log = false;
      log.clear();
      return say("log: gone");
    case 16:
      db.clear();
      d.image.has_log = d.image.has_log && below(random, 2) == 0;
      return say("file: no byte left");
    default:
      d.foreign = true;
      if (below(random, 2) == 0) {
        db = others.foreign.db;  // our log still beside it
      } else {
        db = "#!/bin/sh\n# not a queue\n" + rubbish(random, below(random, 5000));
        d.image.has_log = false;
      }
      return say("file: another application's");
  }
}

}  // namespace

Damage damage(const Image& whole, const Others& others, int kind, Random& random) {
  Damage d;
  d.image = whole;
  apply(d, others, kind, random);
  for (size_t more = below(random, 3); more > 0 && kind < 15; --more) apply(d, others, static_cast<int>(below(random, 15)), random);
  return d;
}

}  // namespace hf::crash

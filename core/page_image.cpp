#include "core/page_image.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/page_format.h"
#include "core/schema.h"
#include "core/store.h"

namespace hf {

using namespace pages;

namespace {

constexpr size_t kLookBytes = 1 << 20;  // in which a sign of ours is looked for
constexpr size_t kRecordHeaderMax = 32768;  // of SQLITE_MAX_COLUMN columns
using wal::kFrameHeader;
constexpr size_t kWalHeader = wal::kHeader;
// One page, with the header of a file and of a tree that has no cells, whose magic may have bits that flipped: a database that
// was being made when its log was lost. There is nothing of anybody in it.
bool is_empty_page(std::string_view file) {
  constexpr size_t kHeaders = 108;
  constexpr int kFlipped = 24;  // of 128 bits: half of them differ in bytes that are anything else
  if (file.size() < 512 || file.size() > 65536 || file.substr(kHeaders).find_first_not_of('\0') != std::string_view::npos) return false;
  int flipped = 0;
  for (size_t i = 0; i < kMagic.size(); ++i) flipped += std::popcount(static_cast<uint8_t>(file[i] ^ kMagic[i]));
  return flipped <= kFlipped;
}

bool is_page_size(int64_t n) { return n >= 512 && n <= 65536 && (n & (n - 1)) == 0; }
// Of a record of `size` bytes, how much lies in its cell; the rest is on overflow pages.
uint64_t local_payload(uint64_t size, bool table, uint64_t usable) {
  const uint64_t most = table ? usable - 35 : (usable - 12) * 64 / 255 - 23;
  if (size <= most) return size;
  const uint64_t least = (usable - 12) * 32 / 255 - 23;
  const uint64_t k = least + (size - least) % (usable - 4);
  return k <= most ? k : least;
}

// Where a cell ends; beyond the page if it does not read.
size_t cell_end(std::string_view page, uint8_t type, size_t at) {
  const size_t nowhere = page.size() + 1;
  uint64_t size = 0, rowid = 0;
  if (interior(type)) at += 4;
  if (type == kTableInterior) return varint(page, at, rowid) ? at : nowhere;
  if (!varint(page, at, size) || (type == kTableLeaf && !varint(page, at, rowid))) return nowhere;
  const uint64_t local = local_payload(size, type == kTableLeaf, page.size());
  return local > page.size() ? nowhere : at + static_cast<size_t>(local) + (local < size ? 4 : 0);
}

// True if the page looks like one of a tree with pages of this size: its cells lie within it and reach its end, but for what was
// removed there.
bool plausible(std::string_view page) {
  const uint8_t type = u8(page, 0);
  if (!is_tree_page(type)) return false;
  const std::vector<size_t> at = cells(page, 2);
  if (at.empty() || at.size() != u16(page, 3)) return false;
  size_t end = 0;
  for (const size_t cell : at) end = std::max(end, cell_end(page, type, cell));
  return end > page.size() / 4 * 3 && end <= page.size();
}

constexpr int64_t kPagesThatTell = 8;

// The size of pages by a header of which all that can be checked is right; 0: it says nothing that can be relied on.
int64_t page_size_in_header(std::string_view start, int64_t bytes) {
  const int64_t said = u16(start, 16) == 1 ? 65536 : u16(start, 16);
  if (start.substr(0, 16) != kMagic || !is_page_size(said)) return 0;
  if (u8(start, 20) != 0 || u8(start, 21) != 64 || u8(start, 22) != 32 || u8(start, 23) != 32) return 0;
  const int64_t pages = u32(start, 28);
  return pages > 0 && pages * said <= bytes ? said : 0;
}

// The same by the header of a log, which has a checksum.
int64_t page_size_in_log(std::string_view header) {
  wal::Sum sum{};
  if (header.size() < kWalHeader || (u32(header, 0) & ~1u) != 0x377f0682) return 0;
  wal::add(header.substr(0, 24), u32(header, 0) & 1, sum);
  return is_page_size(u32(header, 8)) && sum == wal::sum_in_header(header) ? u32(header, 8) : 0;
}

std::vector<std::string> statements() {
  std::vector<std::string> out;
  std::string_view all = kSchema;
  for (size_t end; (end = all.find(";\n")) != std::string_view::npos; all.remove_prefix(end + 2)) {
    std::string_view one = all.substr(0, end);
    while (!one.empty() && one.front() == '\n') one.remove_prefix(1);
    out.emplace_back(one);
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<PageImage>> PageImage::open(const std::string& path, const std::string& vfs) {
  std::unique_ptr<PageImage> image(new PageImage);
  Result<std::unique_ptr<RawFile>> file = RawFile::open(path, vfs, false);
  if (!file) return file.error();
  image->file_ = std::move(*file);
  if (image->file_) HF_TRY(image->file_->lock());
  Result<std::unique_ptr<RawFile>> wal = RawFile::open(path, vfs, true);
  if (!wal) return wal.error();
  image->wal_ = std::move(*wal);
  const std::string first = image->file_ ? image->file_->read(0, 1) : "";
  for (int64_t at = 0; image->blank_ && at < image->bytes(); at += 65536) {
    const std::string part = image->file_->read(at, static_cast<size_t>(std::min<int64_t>(65536, image->bytes() - at)));
    image->blank_ = (first[0] == '\0' || first[0] == '\xff') && part.find_first_not_of(first[0]) == std::string::npos;
  }
  image->choose_page_size();
  image->look_at_log();
  image->find_signs();
  return image;
}

// The header's word, and the log's if it does not say another one. Where the header is damaged or the two disagree: what is
// said, if pages of that size look like pages; else the size by which most of the file does. Bodies may fill most of
// a file, and look like nothing.
void PageImage::choose_page_size() {
  std::vector<std::pair<int64_t, int>> scores;
  const std::string start = file_ ? file_->read(0, std::min<size_t>(kLookBytes, static_cast<size_t>(bytes()))) : "";
  const int64_t in_header = page_size_in_header(start, bytes());
  const int64_t in_log = wal_ ? page_size_in_log(wal_->read(0, kWalHeader)) : 0;
  if (in_header != 0 && (in_log == 0 || in_log == in_header)) {
    page_size_ = static_cast<int>(in_header);
    return;
  }
  int64_t best = 0;
  for (int size = 512; size <= 65536; size *= 2) {
    int64_t covered = 0;
    for (size_t at = static_cast<size_t>(size); at + static_cast<size_t>(size) <= start.size(); at += static_cast<size_t>(size)) {
      if (plausible(std::string_view(start).substr(at, static_cast<size_t>(size)))) covered += size;
    }
    scores.emplace_back(covered, size);
    best = std::max(best, covered);
  }
  int64_t said = u16(start, 16);
  if (said == 1) said = 65536;
  if (in_log != 0 && in_header == 0) said = in_log;
  if (wal_ && !is_page_size(said)) said = u32(wal_->read(8, 4), 0);
  int64_t likeliest = 0;
  for (auto [covered, size] : scores) {
    if (likeliest == 0 && covered == best && best > 0) likeliest = size;
  }
  // A log's header has a checksum: a few pages do not gainsay it, of a file that was hardly begun when the power went.
  const bool few = best < kPagesThatTell * likeliest;
  for (auto [covered, size] : scores) {
    if (size == said && (covered * 2 >= best || (size == in_log && few))) page_size_ = size;
  }
  if (page_size_ == 0) page_size_ = static_cast<int>(likeliest);
  if (page_size_ == 0) page_size_ = is_page_size(said) ? static_cast<int>(said) : 1024;
}

// The salts that the log's header no longer tells: those of the first frame, unless it is damaged as well.
std::string PageImage::salts_of_frames() const {
  auto of = [&](int n) { return wal_->read(static_cast<int64_t>(kWalHeader) + n * (static_cast<int64_t>(kFrameHeader) + page_size_) + 8, 8); };
  return of(0) != of(1) && of(1) == of(2) ? of(1) : of(0);
}

// Reads the log as SQLite's recovery does, and beyond. A frame's checksum goes on from the one before it, so a frame
// behind a damaged one is known by what the damaged one has in its header.
void PageImage::look_at_log() {
  pages_ = (bytes() + page_size_ - 1) / page_size_;
  if (!wal_ || wal_->size() < static_cast<int64_t>(kWalHeader + kFrameHeader)) return;
  log_state_.present = true;
  const std::string header = wal_->read(0, kWalHeader);
  int64_t size = u32(header, 8);
  wal::Sum sum = wal::sum_in_header(header);
  bool big = u32(header, 0) & 1;
  const bool sound = page_size_in_log(header) != 0;
  if (sound && (blank_ || pages_ <= 1)) page_size_ = static_cast<int>(size);
  if (!sound) size = page_size_;
  if (size != page_size_) {
    log_state_.foreign = true;
    return;
  }
  const size_t step = kFrameHeader + static_cast<size_t>(size);
  if (!sound) {
    big = false;  // of this machine: it wrote it
    const uint16_t probe = 1;
    big = *reinterpret_cast<const uint8_t*>(&probe) == 0;
  }
  std::string salts = header.substr(16, 8);
  if (!sound) salts = salts_of_frames();
  bool broken = !sound;  // SQLite reads no further
  std::unordered_map<int64_t, int64_t> open;  // of the transaction that is being read
  int64_t at = static_cast<int64_t>(kWalHeader);
  for (; at + static_cast<int64_t>(step) <= wal_->size(); at += static_cast<int64_t>(step)) {
    const std::string frame = wal_->read(at, step);
    const std::string_view view = frame;
    if (view.substr(8, 8) != salts) {
      broken = true;  // one of an earlier round of the log, or one whose header is damaged
      sum = wal::sum_in_frame(view);
      open.clear();
      continue;
    }
    const wal::Sum want = wal::sum_after(sum, view, big);
    sum = wal::sum_in_frame(view);
    const int64_t page = u32(view, 0);
    if (want != sum || page == 0 || page > INT32_MAX) {
      broken = true;
      open.clear();
      continue;
    }
    open[page] = at + static_cast<int64_t>(kFrameHeader);
    const int64_t pages = u32(view, 4);
    if (pages == 0) continue;  // not the end of a transaction
    if (broken && sound) {
      ++log_state_.cut_off;
    } else {
      if (!sound) log_state_.headless = true;
      ++log_state_.transactions;
      for (auto [number, where] : open) frames_[number] = where;
      pages_ = pages;
    }
    open.clear();
  }
  const int64_t own = (bytes() + page_size_ - 1) / page_size_;
  if (log_state_.headless) pages_ = std::max(pages_, own);
  log_state_.foreign = log_is_foreign();
  if (!log_state_.foreign) return;
  frames_.clear();
  pages_ = own;
}

// The file and the log each say whose they are, and which of the two is the older, if what they say reads. A process
// writes to `meta` before anything else, so the log of one that ended has it.
bool PageImage::log_is_foreign() const {
  if (!file_ || blank_ || frames_.empty()) return false;
  auto first = frames_.find(1);
  const std::string mine = file_->read(68, 4);
  if (first != frames_.end() && u32(mine, 0) == kApplicationId && u32(wal_->read(first->second + 68, 4), 0) != kApplicationId) return true;
  const Identity file = identity(false);
  const Identity log = identity(true);
  if (file.file_id < 0 || file.clean < 0 || log.file_id < 0 || log.clean < 0) return false;
  if (!log.in_log) return file.clean != kUnclean;
  if (file.file_id != log.file_id || file.copy != log.copy) return true;
  // A process that closes the file may end before the log is gone.
  return log.opens < file.opens || (file.clean != kUnclean && log.opens == file.opens && log.clean != file.clean);
}

PageImage::Identity PageImage::identity(bool with_log) const {
  Identity out;
  std::vector<int64_t> todo{kMetaTree};
  for (int visited = 0; !todo.empty() && visited < 100; ++visited) {
    const int64_t number = todo.back();
    todo.pop_back();
    if (number < 2 || number > pages_) continue;
    const std::string page = read_page(number, with_log);
    out.in_log = out.in_log || (with_log && frames_.contains(number));
    const uint8_t type = u8(page, 0);
    if (type != kIndexLeaf && type != kIndexInterior) return {};
    if (type == kIndexInterior) todo.push_back(u32(page, 8));
    for (size_t at : cells(page, number)) {
      if (type == kIndexInterior) todo.push_back(u32(page, at));
      PageRow row;
      if (!row_at(page, number, at, row) || row.values.size() != 2 || !row.values[1].is(Value::Kind::number)) continue;
      const std::string& key = row.values[0].bytes;
      int64_t* const field = key == "file_id" ? &out.file_id : key == "copy" ? &out.copy : key == "opens" ? &out.opens : key == "clean" ? &out.clean : nullptr;
      if (field != nullptr) *field = row.values[1].number;
    }
  }
  return out;
}

int64_t PageImage::unreadable_sectors() const {
  const int64_t file = file_ ? file_->unreadable_sectors() : 0;
  const int64_t log = wal_ ? wal_->unreadable_sectors() : 0;
  return file < 0 || log < 0 ? -1 : file + log;
}

void PageImage::find_signs() {
  const size_t look = static_cast<size_t>(std::min<int64_t>(bytes(), kLookBytes));
  const std::string start = look > 0 ? file_->read(0, look) : "";
  auto has_schema = [](std::string_view text) {
    for (const std::string& one : statements()) {
      if (text.find(one) != std::string_view::npos) return true;
    }
    return false;
  };
  const bool magic = start.substr(0, 16) == kMagic;
  const bool versions = u8(start, 18) >= 1 && u8(start, 18) <= 2 && u8(start, 19) >= 1 && u8(start, 19) <= 2;
  const bool fixed = u8(start, 20) == 0 && u8(start, 21) == 64 && u8(start, 22) == 32 && u8(start, 23) == 32;
  header_damaged_ = !magic || !versions || !fixed || u32(start, 44) - 1 > 3 || u32(start, 56) != 1;
  if (u32(start, 68) == kApplicationId) ours_ = true;
  // Too short to be anybody's database: the beginning of one that was cut off.
  if (!start.empty() && start.size() < 512 && std::string_view(start).substr(0, 16) == kMagic.substr(0, start.size())) ours_ = true;
  if (has_schema(start)) ours_ = true;
  if (!magic && is_empty_page(start)) ours_ = true;
  // A log beside a sound file of another application says nothing of that file; of one that was being made, or of bytes
  // that are no database, it says all.
  no_tables_ = magic && u32(start, 68) == 0 && u16(start, 103) == 0;
  foreign_ = !ours_ && magic && !header_damaged_ && !no_tables_;
  if (ours_ || foreign_ || !wal_) return;
  const std::string log = wal_->read(0, static_cast<size_t>(std::min<int64_t>(wal_->size(), kLookBytes)));
  ours_ = has_schema(log);
  for (auto [page, where] : frames_) {
    if (page == 1 && u32(wal_->read(where + 68, 4), 0) == kApplicationId) ours_ = true;
  }
}

// ---- pages --------------------------------------------------------------------------------------------

std::string PageImage::read_page(int64_t page, bool with_log) const {
  auto it = frames_.find(page);
  if (with_log && it != frames_.end()) return wal_->read(it->second, static_cast<size_t>(page_size_));
  if (!file_) return std::string(static_cast<size_t>(page_size_), 0);
  return file_->read((page - 1) * page_size_, static_cast<size_t>(page_size_));
}

bool PageImage::table_leaf(int64_t page) const {
  auto it = frames_.find(page);
  const int64_t at = static_cast<int64_t>(header_at(page));
  const std::string type = it != frames_.end() ? wal_->read(it->second + at, 1) : file_ ? file_->read((page - 1) * page_size_ + at, 1) : "";
  return u8(type, 0) == kTableLeaf;
}

// ---- rows ---------------------------------------------------------------------------------------------

// The bytes of a record, as far as they can be had: what lies in the page, then the chain of overflow pages.
std::string PageImage::payload(std::string_view page, int64_t number, size_t at, uint64_t size, bool table) const {
  const uint64_t usable = page.size();
  const uint64_t local = local_payload(size, table, usable);
  if (at + local + (local < size ? 4 : 0) > page.size()) return "";
  std::string out(page.substr(at, local));
  if (local == size) return out;
  int64_t next = u32(page, at + local);
  int64_t before = number;
  while (out.size() < size) {
    int64_t parent = 0;
    const int kind = next >= 3 && next <= pages_ ? pointer(next, parent) : -1;
    // The map names the page before: a chain that was led astray ends here. A map that cannot be read says nothing.
    if (kind < 0 || kind == kRootPage || kind == kFreePage || kind == kTreePage) break;
    if (kind == (before == number ? kFirstOverflow : kNextOverflow) && parent != before) break;
    const std::string more = read_page(next);
    out.append(more, 4, static_cast<size_t>(std::min<uint64_t>(size - out.size(), usable - 4)));
    before = next;
    next = u32(more, 0);
    if (out.size() == size && next != 0) return out.substr(0, static_cast<size_t>(local));
  }
  return out;
}

bool PageImage::row_at(std::string_view page, int64_t number, size_t at, PageRow& row) const {
  const uint8_t type = u8(page, header_at(number));
  if (type == kIndexInterior) at += 4;
  uint64_t size = 0, rowid = 0;
  if (!varint(page, at, size) || size < 2 || size > (1u << 30)) return false;
  if (type == kTableLeaf && !varint(page, at, rowid)) return false;
  row.rowid = static_cast<int64_t>(rowid);
  if (size > static_cast<uint64_t>(pages_ + 1) * page.size()) return false;
  const std::string record = payload(page, number, at, size, type == kTableLeaf);
  size_t head = 0;
  uint64_t head_size = 0;
  if (!varint(record, head, head_size) || head_size > record.size() || head_size > kRecordHeaderMax) return false;
  size_t body = static_cast<size_t>(head_size);
  uint64_t total = head_size;
  while (head < head_size) {
    uint64_t code = 0;
    if (!varint(std::string_view(record).substr(0, static_cast<size_t>(head_size)), head, code) || code == 10 || code == 11) return false;
    static constexpr uint8_t kBytes[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};
    const uint64_t bytes = code >= 12 ? (code - 12) / 2 : kBytes[code];
    total += bytes;
    if (total > size) return false;
    Value& v = row.values.emplace_back();
    if (body + bytes > record.size()) {
      v.kind = Value::Kind::lost;
      body = record.size();
      continue;
    }
    const std::string_view at_value = std::string_view(record).substr(body, static_cast<size_t>(bytes));
    body += static_cast<size_t>(bytes);
    if (code == 0) continue;
    if (code >= 12) {
      v.kind = code % 2 ? Value::Kind::text : Value::Kind::blob;
      v.bytes = at_value;
      continue;
    }
    v.kind = code == 7 ? Value::Kind::real : Value::Kind::number;
    if (code >= 8) {
      v.number = static_cast<int64_t>(code) - 8;
      continue;
    }
    uint64_t n = static_cast<int8_t>(u8(at_value, 0)) < 0 ? ~uint64_t{0} : 0;
    for (char c : at_value) n = n << 8 | static_cast<uint8_t>(c);
    v.number = static_cast<int64_t>(n);  // of a real: its bits
  }
  return total == size;
}

std::vector<PageRow> PageImage::rows(int64_t number, int64_t& damaged) const {
  std::vector<PageRow> out;
  const std::string page = read_page(number);
  const size_t head = header_at(number);
  const uint8_t type = u8(page, head);
  if (type != kTableLeaf && type != kIndexLeaf && type != kIndexInterior) return out;
  const std::vector<size_t> where = cells(page, number);
  const size_t count = u16(page, head + 3);
  if (count <= page.size() / 4) damaged += static_cast<int64_t>(count - std::min(count, where.size()));
  for (size_t at : where) {
    PageRow row;
    if (row_at(page, number, at, row)) {
      out.push_back(std::move(row));
    } else {
      ++damaged;
    }
  }
  if (type != kTableLeaf || out.size() < 3) return out;
  // Ids ascend within a page: one that does not is not what was written. The longest ascending row of them stays.
  std::vector<size_t> length(out.size(), 1), from(out.size(), SIZE_MAX);
  size_t best = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (out[j].rowid < out[i].rowid && length[j] + 1 > length[i]) length[i] = length[j] + 1, from[i] = j;
    }
    if (length[i] > length[best]) best = i;
  }
  std::vector<PageRow> kept;
  for (size_t i = best; i != SIZE_MAX; i = from[i]) kept.push_back(std::move(out[i]));
  std::reverse(kept.begin(), kept.end());
  damaged += static_cast<int64_t>(out.size() - kept.size());
  return kept;
}

}  // namespace hf

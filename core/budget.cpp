#include "core/budget.h"

#include <algorithm>
#include <holdfast.h>

#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

constexpr int64_t kRateMax = int64_t{1} << 40;
constexpr const char* kMetaBudgets = "budgets";  // a line each: "metered <hours>;<days>"
constexpr const char* kMetaLink = "link";

// What is not kept for higher priorities.
int64_t share(const BudgetSpec& spec, int64_t bytes, int priority) {
  return priority >= spec.reserve_priority ? bytes : bytes - bytes / 100 * spec.reserve_percent;
}

Status validate(const BudgetSpec& spec) {
  HF_TRY(check_name("link", spec.link));
  const std::string where = "budget of link " + spec.link + ": ";
  HF_TRY(check_range(where + "rate", spec.rate, 0, kRateMax));
  for (const auto& [name, bytes] : {std::pair("day", spec.day_bytes), std::pair("month", spec.month_bytes)}) {
    if (bytes != 0) HF_TRY(check_range(where + name, bytes, kBudgetBytesMin, kBudgetBytesMax));
  }
  HF_TRY(check_range(where + "reserve", spec.reserve_percent, 0, kReserveMax));
  return check_range(where + "reserve_priority", spec.reserve_priority, -HF_PRIORITY_MAX, HF_PRIORITY_MAX);
}

}  // namespace

// ---- a budget

int64_t Budget::opens_ms(int64_t now_ms, int priority) const {
  return std::max(spec_.rate > 0 ? rate_free_ms_ : now_ms, spans_open_ms(now_ms, priority));
}

int64_t Budget::spans_open_ms(int64_t now_ms, int priority) const {
  int64_t opens = now_ms;
  if (spec_.day_bytes > 0) opens = std::max(opens, day_.below_ms(now_ms, share(spec_, spec_.day_bytes, priority)));
  if (spec_.month_bytes > 0) opens = std::max(opens, month_.below_ms(now_ms, share(spec_, spec_.month_bytes, priority)));
  return opens;
}

void Budget::charge(int64_t now_ms, int64_t bytes) {
  day_.add(now_ms, bytes);
  month_.add(now_ms, bytes);
  if (spec_.rate > 0) rate_free_ms_ = std::max(rate_free_ms_, now_ms) + bytes * 1000 / spec_.rate;
}

void Budget::correct(int64_t charged_ms, int64_t more) {
  day_.add(charged_ms, more);
  month_.add(charged_ms, more);
  if (spec_.rate > 0) rate_free_ms_ += more * 1000 / spec_.rate;
}

BudgetInfo Budget::info(int64_t now_ms) const {
  BudgetInfo info;
  info.spec = spec_;
  info.day_spent = day_.sum(now_ms);
  info.month_spent = month_.sum(now_ms);
  info.opens_in_ms = opens_ms(now_ms, 0) - now_ms;
  return info;
}

void Budget::restore(std::string_view text) {
  day_.restore(take_until(&text, ';'));
  month_.restore(text);
}

// ---- all of them

void Budgets::load() {
  told_ = store_.meta_text(kMetaLink);
  const std::string lines = store_.meta_text(kMetaBudgets);
  for (std::string_view rest = lines; !rest.empty() && idle_.size() < kBudgetsMax;) {
    std::string_view line = take_until(&rest, '\n');
    const std::string_view link = take_until(&line, ' ');
    idle_[std::string(link)] = line;
  }
}

Status Budgets::set(const SetBudgets& given) {
  if (given.budgets.size() > kBudgetsMax) {
    return Error{HF_E_INVALID, "there are " + std::to_string(given.budgets.size()) + " budgets; at most " + std::to_string(kBudgetsMax) + " are allowed"};
  }
  HF_TRY(check_name("link", given.link));
  std::map<std::string, Budget> next;
  for (const BudgetSpec& spec : given.budgets) {
    HF_TRY(validate(spec));
    const auto there = budgets_.find(spec.link);
    Budget budget = there != budgets_.end() ? there->second : Budget(spec);
    if (const auto idle = idle_.find(spec.link); there == budgets_.end() && idle != idle_.end()) budget.restore(idle->second);
    budget.set(spec);
    if (!next.emplace(spec.link, std::move(budget)).second) return Error{HF_E_INVALID, "link " + spec.link + " has two budgets"};
  }
  for (const auto& [link, budget] : budgets_) idle_[link] = budget.text();
  for (const auto& [link, budget] : next) idle_.erase(link);
  budgets_ = std::move(next);
  default_link_ = given.link;
  return ok_status();
}

Status Budgets::set_link(const std::string& name) {
  if (!name.empty()) {
    HF_TRY(check_name("link", name));
    // One that nobody knows has no budget: a hook that misspells it would cost money.
    std::vector<std::string_view> known = {kLinkDefault, kLinkMetered, default_link_};
    for (const auto& [link, budget] : budgets_) known.push_back(link);
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      std::string text = "there is no link " + quoted(name) + ": allowed are " + kLinkDefault + ", " + kLinkMetered + ", and those that have a budget";
      if (auto near = nearest_name(name, known)) text += "; did you mean " + std::string(*near) + "?";
      return Error{HF_E_INVALID, text};
    }
  }
  if (name == told_) return ok_status();
  told_ = name;
  store_.set_meta_text(kMetaLink, told_);
  return ok_status();
}

const Budget* Budgets::present() const {
  const auto found = budgets_.find(link());
  return found == budgets_.end() ? nullptr : &found->second;
}

bool Budgets::reserves() const {
  return std::any_of(budgets_.begin(), budgets_.end(), [](const auto& one) { return one.second.spec().reserve_percent > 0; });
}

int64_t Budgets::opens_ms(int64_t now_ms, int priority) const {
  const Budget* budget = present();
  return budget == nullptr ? now_ms : budget->opens_ms(now_ms, priority);
}

bool Budgets::lets_along(int64_t now_ms, int priority) const {
  const Budget* budget = present();
  return budget == nullptr || budget->spans_open_ms(now_ms, priority) <= now_ms;
}

std::string Budgets::why(int64_t now_ms, int priority) const {
  const BudgetInfo info = present()->info(now_ms);
  const BudgetSpec& spec = info.spec;
  const std::string of = "link " + spec.link + " has sent ";
  const auto used_up = [&](int64_t spent, int64_t bytes) { return bytes > 0 && spent >= share(spec, bytes, priority); };
  const auto text = [&](int64_t spent, int64_t bytes, const char* span) {
    return of + format_size_human(spent) + " of the " + format_size_human(bytes) + " it may in any " + span +
           (spent >= bytes ? "" : ", and " + std::to_string(spec.reserve_percent) + " % are kept for priority " + std::to_string(spec.reserve_priority) + " and higher");
  };
  if (used_up(info.month_spent, spec.month_bytes)) return text(info.month_spent, spec.month_bytes, "31 days");
  if (used_up(info.day_spent, spec.day_bytes)) return text(info.day_spent, spec.day_bytes, "24 hours");
  return "link " + spec.link + " may send " + format_size_human(spec.rate) + " a second";
}

Budgets::Charge Budgets::charge(int64_t now_ms, int64_t bytes) {
  const auto found = budgets_.find(link());
  if (found == budgets_.end()) return {};
  found->second.charge(now_ms, bytes);
  changed_ = changed_ || found->second.lasting();
  return {found->first, now_ms, bytes, found->second.lasting()};
}

void Budgets::correct(const Charge& charge, int64_t bytes) {
  const auto found = budgets_.find(charge.link);
  if (found == budgets_.end() || bytes == charge.bytes) return;
  found->second.correct(charge.at_ms, bytes - charge.bytes);
  changed_ = changed_ || found->second.lasting();
}

std::vector<BudgetInfo> Budgets::infos(int64_t now_ms) const {
  std::vector<BudgetInfo> infos;
  for (const auto& [link, budget] : budgets_) {
    infos.push_back(budget.info(now_ms));
    infos.back().in_force = link == this->link();
  }
  return infos;
}

void Budgets::save() {
  if (!changed_) return;
  changed_ = false;
  std::string lines;
  const auto line = [&](const std::string& link, const std::string& spent) { lines += link + " " + spent + "\n"; };
  for (const auto& [link, budget] : budgets_) line(link, budget.text());
  size_t count = budgets_.size();
  for (auto idle = idle_.begin(); idle != idle_.end() && count < kBudgetsMax; ++idle, ++count) line(idle->first, idle->second);
  store_.set_meta_text(kMetaBudgets, lines);
}

}  // namespace hf

#include "core/conditions.h"

#include <algorithm>
#include <set>

#include "core/names.h"
#include "core/units.h"

namespace hf {

Status validate(const ConditionSpec& spec) {
  HF_TRY(check_name("condition", spec.name));
  HF_TRY(check_duration("every", spec.every_ms, kConditionEveryMinMs, kConditionEveryMaxMs));
  if (spec.told && !spec.links.empty()) return Error{HF_E_INVALID, "told and link exclude each other"};
  if (spec.links.size() > kConditionLinksMax) {
    return Error{HF_E_INVALID, "link names " + std::to_string(spec.links.size()) + " links; allowed are " + std::to_string(kConditionLinksMax)};
  }
  for (const std::string& link : spec.links) HF_TRY(check_name("link", link));
  return ok_status();
}

Status check_when(const std::vector<std::string>& when) {
  if (when.size() > kWhenMax) return Error{HF_E_INVALID, "when names " + std::to_string(when.size()) + " conditions; allowed are " + std::to_string(kWhenMax)};
  std::set<std::string_view> names;
  for (const std::string& name : when) {
    HF_TRY(check_name("condition", name));
    if (!names.insert(name).second) return Error{HF_E_INVALID, "when names condition " + name + " twice"};
  }
  return ok_status();
}

Status Conditions::set(const ConditionSpec& spec, int64_t now_ms) {
  HF_TRY(validate(spec));
  if (!conditions_.contains(spec.name) && conditions_.size() >= kConditionsMax) {
    return Error{HF_E_FULL, "there are " + std::to_string(kConditionsMax) + " conditions, which is the most"};
  }
  Condition& c = conditions_[spec.name];
  const bool was_told = std::exchange(c.spec, spec).told;
  if (!spec.told || !was_told) {
    c.answer = {};
    c.asked = 0;
    c.kept_ms = 0;
    const auto before = before_.find(spec.name);
    if (spec.told && before != before_.end()) c.answer = before->second;
  }
  before_.erase(spec.name);
  told_changed_ = true;
  follow_link(c, now_ms);
  changed_ = true;
  return ok_status();
}

void Conditions::remove(const std::string& name) {
  conditions_.erase(name);
  changed_ = told_changed_ = true;
}

Status Conditions::tell(const TellCondition& tell, int64_t now_ms) {
  const auto it = conditions_.find(tell.name);
  if (it == conditions_.end()) {
    if (tell.number != 0) return ok_status();  // it is gone
    return Error{HF_E_NOT_FOUND, "there is no condition " + quoted(tell.name)};
  }
  Condition& c = it->second;
  ConditionAnswer answer{tell.open, tell.why, now_ms, kNever};
  if (tell.number != 0) {
    if (tell.number != c.asked) return ok_status();  // of one that was of another kind
    c.asked = 0;
    answer.until_ms = now_ms + c.spec.every_ms;
    keep_open_since(c.asked_ms, now_ms);
  } else {
    if (!c.spec.told) {
      return Error{HF_E_CONFLICT, "condition " + c.spec.name + (c.spec.links.empty() ? " is asked" : " goes by the link") + ", and cannot be told"};
    }
    HF_TRY(text_fits("why", tell.why, HF_REASON_MAX));
    if (tell.for_ms != 0) {
      HF_TRY(check_duration("for", tell.for_ms, 1, kPauseMaxMs));
      answer.until_ms = now_ms + tell.for_ms;
    }
    if (now_ms >= c.answer.until_ms) c.shown = false;  // what was said before was over, and nobody was woken up to say so
  }
  answered(c, std::move(answer));
  return ok_status();
}

void Conditions::answered(Condition& c, ConditionAnswer answer) {
  c.answer = std::move(answer);
  c.kept_ms = 0;
  changed_ = told_changed_ = true;
  if (c.shown && c.shown_open == c.answer.open) return;
  c.shown = true;
  c.shown_open = c.answer.open;
  turned_.emplace_back(c.spec.name, c.answer.open);
}

// What was open when this one was asked, by an answer that may be over since.
void Conditions::keep_open_since(int64_t asked_ms, int64_t now_ms) {
  for (auto& [name, c] : conditions_) {
    if (is_asked(c.spec) && c.answer.open && (c.answer.until_ms > asked_ms || c.kept_ms >= asked_ms)) c.kept_ms = now_ms;
  }
}

void Conditions::set_link(const std::string& link, int64_t now_ms) {
  if (link == link_) return;
  link_ = link;
  for (auto& [name, condition] : conditions_) follow_link(condition, now_ms);
}

void Conditions::follow_link(Condition& c, int64_t now_ms) {
  if (c.spec.links.empty()) return;
  const bool open = std::find(c.spec.links.begin(), c.spec.links.end(), link_) != c.spec.links.end();
  answered(c, {open, "the link is " + link_, now_ms, kNever});
}

int64_t Conditions::looks_again_ms(const Condition& c, int64_t now_ms) {
  if (c.spec.told && !c.spec.initially) return kNever;  // it does not open by itself
  return c.answer.until_ms > now_ms ? c.answer.until_ms : kNever;
}

Conditions::Gate Conditions::look(const std::vector<std::string>& when, int64_t now_ms) {
  Gate gate;
  std::vector<Condition*> unknown;
  for (const std::string& name : when) {
    const auto it = conditions_.find(name);
    if (it == conditions_.end()) return {false, kNever};
    Condition& c = it->second;
    if (!known(c, now_ms)) {
      unknown.push_back(&c);
      gate.open = false;
    } else if (!open(c, now_ms)) {
      return {false, looks_again_ms(c, now_ms)};  // the others need not be asked
    }
  }
  for (Condition* c : unknown) {
    if (c->asked != 0) continue;
    c->asked = ++asked_;
    c->asked_ms = now_ms;
    ask_.push_back({c->spec.name, c->asked});
  }
  return gate;
}

std::vector<AskCondition> Conditions::ask() { return std::exchange(ask_, {}); }

std::vector<Conditions::Closed> Conditions::closed(const std::vector<std::string>& when, int64_t now_ms) const {
  std::vector<Closed> closed;
  for (const std::string& name : when) {
    const auto it = conditions_.find(name);
    if (it == conditions_.end()) {
      closed.push_back({"there is no condition " + name});
      continue;
    }
    const Condition& c = it->second;
    const std::string who = "condition " + name;
    if (!known(c, now_ms)) {
      closed.push_back({who + (c.asked != 0 ? " is being asked" : " is asked once nothing else is in the way")});
    } else if (!open(c, now_ms)) {
      const int64_t again = looks_again_ms(c, now_ms);
      std::string why = who + " is closed";
      if (now_ms < c.answer.until_ms && !c.answer.why.empty()) why += ": " + one_line(c.answer.why);
      if (now_ms >= c.answer.until_ms) why += ": nobody has said that it is open";
      if (is_asked(c.spec)) why += "; asked again in " + format_duration_human(again - now_ms);
      closed.push_back({std::move(why), again == kNever ? 0 : again});
    }
  }
  return closed;
}

Result<std::vector<ConditionInfo>> Conditions::list(const std::string& name, int64_t now_ms, int64_t offset_ms) const {
  std::vector<ConditionInfo> infos;
  for (const auto& [its_name, c] : conditions_) {
    if (!name.empty() && name != its_name) continue;
    ConditionInfo info{c.spec};
    info.known = known(c, now_ms);
    info.open = info.known ? open(c, now_ms) : c.answer.open;
    info.asking = c.asked != 0;
    if (c.answer.said_ms != 0 && !(c.spec.told && now_ms >= c.answer.until_ms)) {
      info.why = c.answer.why;
      info.said_wall_ms = c.answer.said_ms + offset_ms;
      info.until_wall_ms = c.answer.until_ms == kNever ? 0 : c.answer.until_ms + offset_ms;
    }
    infos.push_back(std::move(info));
  }
  if (!name.empty() && infos.empty()) return Error{HF_E_NOT_FOUND, "there is no condition " + quoted(name)};
  return infos;
}

const ConditionAnswer* Conditions::answer_of(const std::string& name) const {
  const auto it = conditions_.find(name);
  return it == conditions_.end() ? nullptr : &it->second.answer;
}

void Conditions::turn_committed() {
  if (!std::exchange(told_changed_, false)) return;
  told_ = before_;
  for (const auto& [name, c] : conditions_) {
    if (c.spec.told && c.answer.said_ms != 0) told_[name] = c.answer;
  }
}

}  // namespace hf

// Conditions: what runs wait for in the world outside. On mains power, cool enough, a VPN that is up, a door that is closed.
//
// A queue or a handler names those that it needs ("when"), and a run begins while all of them are open. Whether one is open is
// asked of the outside (AskCondition) when a job waits for nothing else, and the answer counts for `every_ms`: so where nothing
// waits nobody is asked, and nobody is woken. Some are not asked but told, by whoever knows; and some are the kind of the link.
//
// One that was open when another one was asked counts until that one has answered, however long that takes: else two whose looks
// take longer than the other's answer counts would take turns for ever, and what needs both would never begin.
//
// What is not known is closed. Nothing is on the disk: after a start the world may be another one.
//
// Thread: the engine's.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/requests.h"

namespace hf {

inline constexpr size_t kConditionLinksMax = 16;

// HF_E_INVALID names the field.
Status validate(const ConditionSpec& spec);
Status check_when(const std::vector<std::string>& when);

// The last answer of a condition.
struct ConditionAnswer {
  bool open = false;
  std::string why;
  int64_t said_ms = 0;           // elapsed; 0: there was none
  int64_t until_ms = 0;          // it counts until then; kNever: until there is another one
};

class Conditions {
 public:
  // `before`: of the engine before this one in the same process, for those that are told.
  explicit Conditions(std::map<std::string, ConditionAnswer> before) : before_(std::move(before)) {}

  // HF_E_INVALID names the field, HF_E_FULL: there are kConditionsMax.
  Status set(const ConditionSpec& spec, int64_t now_ms);
  void remove(const std::string& name);
  // HF_E_NOT_FOUND; HF_E_CONFLICT: it is asked, or goes by the link, and is not told; HF_E_INVALID names the field.
  Status tell(const TellCondition& tell, int64_t now_ms);
  void set_link(const std::string& link, int64_t now_ms);  // which there is

  // Whether all of these are open. Those that nobody knows of are to be asked then: ask().
  struct Gate {
    bool open = true;
    int64_t look_ms = kNever;  // if it is closed: it may open then by itself; kNever: only when something is said
  };
  Gate look(const std::vector<std::string>& when, int64_t now_ms);
  // Whom to ask, since the last call.
  std::vector<AskCondition> ask();
  // True, once, if something was said or set since the last call: what waits may look again.
  bool changed() { return std::exchange(changed_, false); }
  // Those that have turned out to be open or closed since the last call, in order.
  std::vector<std::pair<std::string, bool>> turned() { return std::exchange(turned_, {}); }

  struct Closed {
    std::string why;           // "condition cool is closed: 81 °C"
    int64_t may_open_ms = 0;   // when it is asked again, or what was said is over; 0: not known
  };
  std::vector<Closed> closed(const std::vector<std::string>& when, int64_t now_ms) const;
  // Result: HF_E_NOT_FOUND. "": all, by name. Wall times by `offset_ms`.
  Result<std::vector<ConditionInfo>> list(const std::string& name, int64_t now_ms, int64_t offset_ms) const;
  const ConditionAnswer* answer_of(const std::string& name) const;
  // For the next engine of this process: what was told, as of the last turn that was committed.
  const std::map<std::string, ConditionAnswer>& told() const { return told_; }
  void turn_committed();

 private:
  struct Condition {
    ConditionSpec spec;
    ConditionAnswer answer;
    uint64_t asked = 0;  // the number of the question that is not answered yet; 0: none
    int64_t asked_ms = 0;
    int64_t kept_ms = 0;  // that it was open counts until then at least, as another one was being asked; this time is the last
    bool shown = false, shown_open = false;  // as turned() last had it
  };
  static bool is_asked(const ConditionSpec& spec) { return !spec.told && spec.links.empty(); }
  static bool counts(const Condition& c, int64_t now_ms) { return now_ms < c.answer.until_ms || (c.answer.open && now_ms <= c.kept_ms); }
  // It is open or closed now, and nobody need be asked. (What is told is always known.)
  static bool known(const Condition& c, int64_t now_ms) { return c.spec.told || counts(c, now_ms); }
  static bool open(const Condition& c, int64_t now_ms) { return counts(c, now_ms) ? c.answer.open : c.spec.told && c.spec.initially; }
  static int64_t looks_again_ms(const Condition& c, int64_t now_ms);
  void answered(Condition& c, ConditionAnswer answer);
  void keep_open_since(int64_t asked_ms, int64_t now_ms);
  void follow_link(Condition& c, int64_t now_ms);

  std::map<std::string, Condition> conditions_;
  std::map<std::string, ConditionAnswer> before_, told_ = before_;
  std::string link_;
  uint64_t asked_ = 0;  // the last number
  std::vector<AskCondition> ask_;
  std::vector<std::pair<std::string, bool>> turned_;
  bool changed_ = false, told_changed_ = false;
};

}  // namespace hf

// In place of budget.cpp, conditions.cpp and window.cpp. A file that was written by a build with them may name some: what has to
// be open for a job, and is not known here, is closed.
#include "core/budget.h"
#include "core/conditions.h"
#include "core/left_out.h"
#include "core/window.h"

namespace hf {
namespace {

Error no_conditions() { return left_out("conditions are", "GATES"); }
Error no_budgets() { return left_out("budgets of a link are", "GATES"); }

}  // namespace

Status validate(const ConditionSpec&) { return no_conditions(); }
Status check_when(const std::vector<std::string>& when) { return when.empty() ? ok_status() : Status(no_conditions()); }

Status Conditions::set(const ConditionSpec&, int64_t) { return no_conditions(); }
void Conditions::remove(const std::string&) {}
Status Conditions::tell(const TellCondition&, int64_t) { return no_conditions(); }
void Conditions::set_link(const std::string&, int64_t) {}
Conditions::Gate Conditions::look(const std::vector<std::string>& when, int64_t) { return {when.empty(), kNever}; }
std::vector<AskCondition> Conditions::ask() { return {}; }
std::vector<Conditions::Closed> Conditions::closed(const std::vector<std::string>& when, int64_t) const {
  return when.empty() ? std::vector<Closed>{} : std::vector<Closed>{{no_conditions().message, 0}};
}
Result<std::vector<ConditionInfo>> Conditions::list(const std::string& name, int64_t, int64_t) const {
  if (name.empty()) return std::vector<ConditionInfo>{};
  return no_conditions();
}
const ConditionAnswer* Conditions::answer_of(const std::string&) const { return nullptr; }
void Conditions::turn_committed() {}

// What links have spent stays in the file, for a build that goes by it.
void Budgets::load() {}
Status Budgets::set(const SetBudgets& budgets) { return budgets.budgets.empty() ? ok_status() : Status(no_budgets()); }
Status Budgets::set_link(const std::string&) { return no_budgets(); }
bool Budgets::reserves() const { return false; }
int64_t Budgets::opens_ms(int64_t now_ms, int) const { return now_ms; }
bool Budgets::lets_along(int64_t, int) const { return true; }
std::string Budgets::why(int64_t, int) const { return {}; }
Budgets::Charge Budgets::charge(int64_t, int64_t) { return {}; }
void Budgets::correct(const Charge&, int64_t) {}
std::vector<BudgetInfo> Budgets::infos(int64_t) const { return {}; }
void Budgets::save() {}

Result<Windows> Windows::parse(std::string_view text) {
  if (text.empty()) return Windows();
  return left_out("windows are", "GATES");
}
Status WindowGate::set(const QueueSettings& settings, const ZoneSource&) {
  HF_TRY(Windows::parse(settings.windows.value_or("")));
  waiting_.clear();
  return ok_status();
}
void WindowGate::restore(const QueueSettings& settings, const ZoneSource& zones) {
  if (const Status ok = set(settings, zones); !ok) waiting_ = ok.error().message;
}
bool WindowGate::look(int64_t, bool) {
  const bool was = open_;
  open_ = none();
  until_ms_ = kNever;
  return std::exchange(looked_, true) && open_ != was;
}

}  // namespace hf

#include "platform/admin_conditions.h"

#include "platform/json_spec.h"

namespace hf {

Status list_conditions(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, ConditionList{}, [](Reply& reply) { return json_response(conditions_json(std::get<std::vector<ConditionInfo>>(reply))); });
  return ok_status();
}

Status show_condition(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, ConditionList{call.names[0]}, [name = call.names[0]](Reply& reply) {
    const auto& found = std::get<std::vector<ConditionInfo>>(reply);
    return found.empty() ? no_such("condition", name) : json_response(condition_json(found[0]));
  });
  return ok_status();
}

Status tell_condition(AdminDesk& desk, AdminCall& call) {
  auto tell = parse_condition(call.names[0], call.request.body);
  if (!tell) return tell.error();
  desk.ask_then(call, std::move(*tell), [self = desk.shared_from_this(), call](Reply&) mutable { (void)show_condition(*self, call); });
  return ok_status();
}

}  // namespace hf

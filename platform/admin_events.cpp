#include "platform/admin_events.h"

#include "core/names.h"
#include "platform/json_spec.h"

namespace hf {

Status emit_event(AdminDesk& desk, AdminCall& call) {
  HF_TRY(check_name("event", call.names[0]));
  auto emit = parse_emit(call.names[0], call.request.body);
  if (!emit) return emit.error();
  desk.ask(call, std::move(*emit), [](Reply& reply) {
    return json_response(id_list_json(std::get<std::vector<JobId>>(reply)), 201);
  });
  return ok_status();
}

Status list_subscriptions(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, SubscriptionList{}, [sight = call.sight](Reply& reply) {
    return json_response(subscriptions_json(std::get<std::vector<SubscriptionInfo>>(reply), sight));
  });
  return ok_status();
}

Status show_subscription(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, SubscriptionList{call.names[0]}, [sight = call.sight, name = call.names[0]](Reply& reply) {
    const auto& found = std::get<std::vector<SubscriptionInfo>>(reply);
    return found.empty() ? no_such("subscription", name) : json_response(subscription_json(found[0], sight));
  });
  return ok_status();
}

}  // namespace hf

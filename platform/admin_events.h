// Routes of the admin API for events and who subscribed to them. As in admin_routes.cpp: an error is the answer.
#pragma once

#include "platform/admin_desk.h"

namespace hf {

Status emit_event(AdminDesk& desk, AdminCall& call);
Status list_subscriptions(AdminDesk& desk, AdminCall& call);
Status show_subscription(AdminDesk& desk, AdminCall& call);

}  // namespace hf

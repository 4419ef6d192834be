// Routes of the admin API for conditions. As in admin_routes.cpp: an error is the answer.
#pragma once

#include "platform/admin_desk.h"

namespace hf {

Status list_conditions(AdminDesk& desk, AdminCall& call);
Status show_condition(AdminDesk& desk, AdminCall& call);
Status tell_condition(AdminDesk& desk, AdminCall& call);

}  // namespace hf

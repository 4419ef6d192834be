// In place of request_runners.cpp, target_check.cpp and what sends requests.
#include "core/left_out.h"
#include "handlers/runners.h"
#include "handlers/target_check.h"

namespace hf {
namespace {
Error no_requests() { return left_out("requests, and sinks, are", "HTTP"); }
}  // namespace

class RequestRunners::Maker {};
RequestRunners::RequestRunners(Host&, const Config&, int64_t) {}
RequestRunners::~RequestRunners() = default;
Result<std::shared_ptr<Runner>> RequestRunners::of(const HandlerConfig&) const { return no_requests(); }
Result<std::shared_ptr<Runner>> RequestRunners::of(const SinkConfig&) const { return no_requests(); }

bool check_target(const JsonValue& object, HttpConfig&, const Config&) { return object.fail(no_requests().message); }
bool check_broker(const JsonValue& object, SinkConfig&, const Config&) { return object.fail(no_requests().message); }

}  // namespace hf

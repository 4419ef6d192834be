// In a build without HOLDFAST_MQTT.
#include "platform/broker/mqtt.h"

namespace hf {

bool has_mqtt() { return false; }

Result<std::unique_ptr<BrokerSession>> make_mqtt_session(const MqttOptions&) {
  return Error{HF_E_UNSUPPORTED, "this build has no MQTT"};
}

Verdict mqtt_verdict(int) { return Verdict::kTryAgain; }

}  // namespace hf

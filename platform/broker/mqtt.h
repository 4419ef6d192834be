// MQTT 5 by libmosquitto, an optional part: HOLDFAST_MQTT in CMakeLists.txt.
#pragma once

#include <memory>
#include <string>

#include "platform/broker/broker.h"
#include "platform/secret.h"

namespace hf {

struct MqttOptions {
  std::string client_id;                   // not empty
  std::string user;                        // "": none
  std::shared_ptr<const Secret> password;  // null: none; without NUL
  int64_t session_expiry_s = 3600;         // how long the broker keeps the session; 0: not beyond the connection
  int keep_alive_s = 120;                  // 5 to 65535: after 1.5 times so long a silence the broker takes us for gone
  int max_in_flight = 20;                  // messages without an answer; the broker may ask for fewer
};

// False: make_mqtt_session fails with HF_E_UNSUPPORTED.
bool has_mqtt();

// One connection: CONNECT is in its output. Messages go with QoS 1, not retained, as JSON (UTF-8), the key as the user
// property "idempotency-key". HF_E_NO_MEMORY, HF_E_IO: no descriptors.
//
// Each connection takes up the session of its client id (Clean Start 0). What was not acknowledged is forgotten here with the
// connection: the queue file keeps it, and sends it again with the same key.
Result<std::unique_ptr<BrokerSession>> make_mqtt_session(const MqttOptions& options);

// Of the reason code of a PUBACK (MQTT 5, 3.4.2.1).
Verdict mqtt_verdict(int reason_code);

}  // namespace hf

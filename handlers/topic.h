// Where a result goes at a broker: a topic of MQTT or a subject of NATS, with places for names.
#pragma once

#include <string>
#include <string_view>

#include "core/requests.h"
#include "core/result.h"
#include "platform/net/url.h"

namespace hf {

inline constexpr size_t kTopicMax = 512;  // bytes, as configured

// "gw/{device}/{type}": {device}, {type} and {queue} are replaced. HF_E_INVALID: another place, wildcards, what the broker's
// protocol does not allow.
Status check_topic(BrokerKind kind, std::string_view topic);

// REQUIRES: check_topic
std::string topic_of(std::string_view topic, std::string_view device, const RunJob& job);

}  // namespace hf

#include "handlers/topic.h"

#include <algorithm>

#include "core/names.h"

namespace hf {
namespace {

constexpr std::string_view kPlaces[] = {"device", "type", "queue"};

Error invalid(std::string text) { return {HF_E_INVALID, std::move(text)}; }

Status check_places(std::string_view topic) {
  while (true) {
    const size_t open = topic.find_first_of("{}");
    if (open == topic.npos) return ok_status();
    if (topic[open] == '}') return invalid("a } without a {");
    const size_t close = topic.find('}', open);
    if (close == topic.npos) return invalid("a { without a }");
    const std::string_view place = topic.substr(open + 1, close - open - 1);
    if (std::find(std::begin(kPlaces), std::end(kPlaces), place) == std::end(kPlaces))
      return invalid("there is no place {" + std::string(place) + "}: {device}, {type} and {queue} are allowed");
    topic.remove_prefix(close + 1);
  }
}

// MQTT 5, 4.7: no wildcards in the topic of a message; what begins with $ is the broker's own.
Status check_mqtt(std::string_view topic) {
  if (topic.find_first_of("+#") != topic.npos) return invalid("a topic has no + and no #: those are for subscribers");
  if (topic[0] == '$') return invalid("a topic that begins with $ is the broker's own");
  return ok_status();
}

// Parts between dots, none of them empty; no blanks; * and > are wildcards; $ begins what is the server's own.
Status check_nats(std::string_view subject) {
  if (subject.find_first_of("*> ") != subject.npos) return invalid("a subject has no *, no > and no blanks");
  if (subject[0] == '$') return invalid("a subject that begins with $ is the server's own");
  if (subject[0] == '.' || subject.back() == '.' || subject.find("..") != subject.npos)
    return invalid("a part of the subject is empty");
  return ok_status();
}

}  // namespace

Status check_topic(BrokerKind kind, std::string_view topic) {
  if (topic.empty()) return invalid("it is empty");
  if (topic.size() > kTopicMax) return invalid("it is longer than " + std::to_string(kTopicMax) + " bytes");
  if (!valid_utf8(topic)) return invalid("it is not UTF-8");
  if (std::any_of(topic.begin(), topic.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return invalid("a control character is not allowed in it");
  HF_TRY(check_places(topic));
  return kind == BrokerKind::kMqtt ? check_mqtt(topic) : check_nats(topic);
}

std::string topic_of(std::string_view topic, std::string_view device, const RunJob& job) {
  std::string out;
  while (true) {
    const size_t open = topic.find('{');
    out += topic.substr(0, open);
    if (open == topic.npos) return out;
    const size_t close = topic.find('}', open);
    const std::string_view place = topic.substr(open + 1, close - open - 1);
    out += place == "device" ? device : place == "type" ? std::string_view(job.type) : std::string_view(job.queue);
    topic.remove_prefix(close + 1);
  }
}

}  // namespace hf

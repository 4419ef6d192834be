#include "handlers/topic.h"

#include <doctest/doctest.h>

using namespace hf;

TEST_CASE("topic: places are filled with names") {
  RunJob job;
  job.type = "report.v2/hourly";
  job.queue = "bulk";
  CHECK(topic_of("gw/{device}/{type}", "gw-0042", job) == "gw/gw-0042/report.v2/hourly");
  CHECK(topic_of("{queue}{queue}-{device}", "d", job) == "bulkbulk-d");
  CHECK(topic_of("fixed", "d", job) == "fixed");
}

TEST_CASE("topic: what is no topic or subject is told") {
  const auto says = [](BrokerKind kind, std::string_view topic) {
    const Status status = check_topic(kind, topic);
    return status ? std::string("ok") : status.error().message;
  };
  for (const auto kind : {BrokerKind::kMqtt, BrokerKind::kNats}) {
    CHECK(says(kind, "gw.{device}.{type}.{queue}") == "ok");
    CHECK(says(kind, "") == "it is empty");
    CHECK(says(kind, std::string(kTopicMax, 'x')) == "ok");
    CHECK(says(kind, std::string(kTopicMax + 1, 'x')) == "it is longer than 512 bytes");
    CHECK(says(kind, "a\xff") == "it is not UTF-8");
    CHECK(says(kind, "a\tb") == "a control character is not allowed in it");
    CHECK(says(kind, "a/{id}") == "there is no place {id}: {device}, {type} and {queue} are allowed");
    CHECK(says(kind, "a/{device") == "a { without a }");
    CHECK(says(kind, "a/device}") == "a } without a {");
  }
  CHECK(says(BrokerKind::kMqtt, "a/+/b") == "a topic has no + and no #: those are for subscribers");
  CHECK(says(BrokerKind::kMqtt, "a/#") == "a topic has no + and no #: those are for subscribers");
  CHECK(says(BrokerKind::kMqtt, "$SYS/x") == "a topic that begins with $ is the broker's own");
  CHECK(says(BrokerKind::kMqtt, "/a b//c*>") == "ok");
  CHECK(says(BrokerKind::kNats, "a.*") == "a subject has no *, no > and no blanks");
  CHECK(says(BrokerKind::kNats, "a b") == "a subject has no *, no > and no blanks");
  CHECK(says(BrokerKind::kNats, "$JS.API") == "a subject that begins with $ is the server's own");
  for (const char* subject : {".a", "a.", "a..b"}) CHECK(says(BrokerKind::kNats, subject) == "a part of the subject is empty");
}

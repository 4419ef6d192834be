// A probe on a loop of its own, and what it answered.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <utility>
#include <vector>

#include "net_fixture.h"
#include "platform/probe.h"

namespace hf::test {

template <class P>
struct ProbeFixture {
  TestLoop loop;
  std::unique_ptr<P> probe;
  std::vector<ProbeAnswer> answers;

  ~ProbeFixture() {
    if (probe) shut();
  }
  void ask() {
    probe->ask([this](ProbeAnswer said) { answers.push_back(std::move(said)); });
  }
  ProbeAnswer asked() {
    const size_t before = answers.size();
    ask();
    REQUIRE(loop.run_until([&] { return answers.size() > before; }));
    return answers.back();
  }
  void shut() {
    bool closed = false;
    probe->shutdown([&] { closed = true; });
    REQUIRE(loop.run_until([&] { return closed; }));
    probe.reset();
  }
};

}  // namespace hf::test

#include "platform/workers.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <barrier>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

using namespace hf;

namespace {
// One alone.
Status submit(Workers& workers, std::function<void()> task) {
  Workers::Tasks one = workers.make(1);
  one.front().run = std::move(task);
  HF_TRY(workers.submit(one));
  workers.wake();
  return ok_status();
}
}  // namespace

TEST_CASE("workers: every task runs, in order on one thread") {
  std::vector<int> order;
  {
    Workers workers(1);
    for (int i = 0; i < 100; ++i) REQUIRE(submit(workers, [&, i] { order.push_back(i); }).ok());
  }
  REQUIRE(order.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("workers: as many run side by side as there are threads") {
  Workers workers(3);
  std::barrier together(3);
  // Each waits for the two others: fewer threads would never end.
  for (int i = 0; i < 3; ++i) REQUIRE(submit(workers, [&] { together.arrive_and_wait(); }).ok());
  workers.join();
  CHECK(workers.unfinished() == 0);
}

TEST_CASE("workers: a batch needs no more threads than tasks, and no more than allowed") {
  Workers workers(2);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  Workers::Tasks batch = workers.make(50);
  CHECK(batch.size() == 50);
  for (Workers::Task& task : batch)
    task.run = [&] {
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
    };
  REQUIRE(workers.submit(batch).ok());
  CHECK(batch.empty());
  workers.wake();
  workers.join();
  REQUIRE(workers.make(3).size() == 3);  // of those that were used
  Workers::Tasks late = workers.make(2);
  late.front().run = late.back().run = [] {};
  CHECK(workers.submit(late).error().code == HF_E_STATE);
  CHECK(late.size() == 2);
  CHECK(threads.size() <= 2);
  CHECK_FALSE(threads.empty());
}

TEST_CASE("workers: one short task after the other stays on one thread") {
  Workers workers(8);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  for (int i = 0; i < 50; ++i) {
    std::promise<void> done;
    REQUIRE(submit(workers, [&] {
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
      done.set_value();
    }).ok());
    done.get_future().get();
    while (workers.unfinished() > 0) std::this_thread::yield();  // 0: it is parked
  }
  workers.join();
  CHECK(threads.size() == 1);
}

TEST_CASE("workers: a task may submit another") {
  Workers workers(1);
  std::promise<void> second;
  REQUIRE(submit(workers, [&] { CHECK(submit(workers, [&] { second.set_value(); }).ok()); }).ok());
  second.get_future().get();
}

TEST_CASE("workers: join runs what waits and refuses the rest") {
  Workers workers(2);
  std::atomic<int> ran = 0;
  std::promise<void> gate;
  auto open = gate.get_future().share();
  for (int i = 0; i < 10; ++i)
    REQUIRE(submit(workers, [&, open] { open.wait(); ++ran; }).ok());
  CHECK(workers.unfinished() == 10);
  gate.set_value();
  workers.join();
  CHECK(ran == 10);
  const auto late = submit(workers, [&] { ++ran; });
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().code == HF_E_STATE);
  CHECK(ran == 10);
}

TEST_CASE("workers: many short tasks from many threads") {
  std::atomic<int> ran = 0;
  {
    Workers workers(4);
    std::vector<std::thread> submitters;
    for (int t = 0; t < 3; ++t)
      submitters.emplace_back([&] {
        for (int i = 0; i < 2000; ++i) CHECK(submit(workers, [&] { ++ran; }).ok());
      });
    for (auto& submitter : submitters) submitter.join();
  }
  CHECK(ran == 6000);
}

TEST_CASE("workers: in a pool without threads tasks wait for those who come by, one each time") {
  Workers workers(0);
  CHECK_FALSE(workers.has_threads());
  CHECK(workers.run_one(0).error().code == HF_E_TIMEOUT);
  std::vector<int> order;
  for (int i = 0; i < 3; ++i) REQUIRE(submit(workers, [&, i] { order.push_back(i); }).ok());
  CHECK(workers.unfinished() == 3);
  CHECK(workers.run_one(0).ok());
  CHECK(workers.run_one(60000).ok());
  CHECK(order == std::vector<int>{0, 1});
  std::thread late([&] { CHECK(submit(workers, [&] { order.push_back(3); }).ok()); });
  CHECK(workers.run_one(60000).ok());
  CHECK(workers.run_one(60000).ok());
  late.join();
  CHECK(order == std::vector<int>{0, 1, 2, 3});
  CHECK(workers.run_one(1).error().code == HF_E_TIMEOUT);
}

TEST_CASE("workers: join runs what nobody came for, and waits for who is in a task") {
  Workers workers(0);
  std::promise<void> inside, gate;
  std::atomic<int> ran = 0;
  REQUIRE(submit(workers, [&] {
    inside.set_value();
    gate.get_future().wait();
    ++ran;
  }).ok());
  std::thread visitor([&] { CHECK(workers.run_one(0).ok()); });
  inside.get_future().wait();
  REQUIRE(submit(workers, [&] { ++ran; }).ok());
  std::promise<void> waits;
  std::thread idle([&] {
    waits.set_value();
    while (workers.run_one(60000)) continue;  // takes the second task, or join() does
    CHECK(workers.run_one(60000).error().code == HF_E_STATE);
  });
  waits.get_future().wait();
  std::thread opener([&] { gate.set_value(); });
  workers.join();
  CHECK(ran == 2);
  CHECK(workers.run_one(0).error().code == HF_E_STATE);
  visitor.join();
  idle.join();
  opener.join();
}

TEST_CASE("workers: a descriptor that says that a task waits") {
  Workers workers(0);
  const auto readable = [&] {
    pollfd one = {*workers.fd(), POLLIN, 0};
    return poll(&one, 1, 0) == 1;
  };
  REQUIRE(submit(workers, [] {}).ok());
  CHECK(readable());  // asked for when it waited already
  REQUIRE(submit(workers, [] {}).ok());
  CHECK(workers.run_one(0).ok());
  CHECK(readable());
  CHECK(workers.run_one(0).ok());
  CHECK_FALSE(readable());
  REQUIRE(submit(workers, [] {}).ok());
  CHECK(readable());
}

TEST_CASE("workers: of many that come at once one thread begins, and the others come when they are called") {
  Workers workers(3);
  std::barrier together(3);
  std::atomic<int> ran = 0;
  const auto meet = [&] {
    Workers::Tasks tasks = workers.make(3);
    for (Workers::Task& task : tasks) {
      task.run = [&] {
        together.arrive_and_wait();  // for ever, without a thread for each
        ++ran;
      };
    }
    REQUIRE(workers.submit(tasks).ok());
    workers.wake();
  };
  meet();  // no thread is there yet
  while (workers.unfinished() > 0) std::this_thread::yield();
  meet();  // three are parked
  while (workers.unfinished() > 0) std::this_thread::yield();
  workers.wake();  // for nothing
  for (int i = 0; i < 50; ++i) {
    Workers::Tasks one = workers.make(1);
    one.front().run = [&] { ++ran; };
    REQUIRE(workers.submit(one).ok());
  }
  workers.join();
  CHECK(ran == 56);
}

TEST_CASE("workers: a task that nobody needs is forgotten while it waits") {
  Workers workers(0);
  std::vector<int> ran;
  const int a = 1, b = 2, none = 0;
  Workers::Tasks tasks;
  tasks.push_back({[&] { ran.push_back(a); }, &a});
  const auto kept = std::make_shared<int>(3);
  tasks.push_back({[&ran, kept] { ran.push_back(*kept); }, &b});
  tasks.push_back({[&] { ran.push_back(4); }});
  REQUIRE(workers.submit(tasks).ok());
  CHECK(workers.forget(&b));
  CHECK(kept.use_count() == 1);
  CHECK_FALSE(workers.forget(&b));
  CHECK_FALSE(workers.forget(&none));
  CHECK(workers.unfinished() == 2);
  workers.run_waiting();
  CHECK(ran == std::vector<int>{1, 4});
  CHECK_FALSE(workers.forget(&a));
}

TEST_CASE("workers: run_waiting runs what is there, and not what comes of it") {
  Workers workers(0);
  int ran = 0;
  REQUIRE(submit(workers, [&] {
    ++ran;
    CHECK(submit(workers, [&] { ++ran; }).ok());
  }).ok());
  workers.run_waiting();
  CHECK(ran == 1);
  workers.run_waiting();
  CHECK(ran == 2);
}

TEST_CASE("workers: threads are as who made the pool, whoever has work first") {
  cpu_set_t mine, theirs;
  REQUIRE(pthread_getaffinity_np(pthread_self(), sizeof mine, &mine) == 0);
  Workers workers(1);
  std::thread pinned([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
      if (CPU_ISSET(cpu, &mine)) CPU_SET(cpu, &one);
    }
    CHECK(pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0);
    CHECK(submit(workers, [&] { CHECK(pthread_getaffinity_np(pthread_self(), sizeof theirs, &theirs) == 0); }).ok());
  });
  pinned.join();
  workers.join();
  CHECK(CPU_EQUAL(&mine, &theirs));
}

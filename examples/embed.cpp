// The same as embed.c, in C++20: handlers are lambdas, failures are exceptions, durations are std::chrono.
//
//   c++ -std=c++20 embed.cpp $(pkg-config --cflags --libs holdfast) -o embed && ./embed /tmp/embed.db
#include <holdfast.hpp>

#include <cstdio>
#include <future>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

int main(int argc, char** argv) {
  try {
    holdfast::Engine engine(argc > 1 ? argv[1] : "embed.db");
    std::promise<holdfast::JobId> uploaded;

    // Runs on a worker thread. An exception is a failed attempt, with what() as its error.
    engine.on("measure", [](holdfast::Job job) {
      if (job.attempt() == 1) throw std::runtime_error("sensor is warming up");
      std::string result = "{\"sensor\":\"" + std::string(job.payload()) + "\",\"celsius\":21.5}";
      job.enqueue({.type = "upload", .payload = result});  // comes in together with this job's success, or not at all
      job.result(result);
    }, {.timeout = 10s, .backoff = {.base = 50ms}});

    engine.on("upload", [&](holdfast::Job job) {
      std::printf("upload %s\n", std::string(job.payload()).c_str());
      uploaded.set_value(job.id());
      return holdfast::Outcome::done;
    });
    engine.start();

    holdfast::JobId id = engine.enqueue({.type = "measure", .payload = "kitchen", .max_attempts = 3});
    uploaded.get_future().wait();

    holdfast::JobInfo done = engine.job(id);
    std::printf("job %lld took %d attempts: %s\n", static_cast<long long>(done.id), done.attempts, done.result.c_str());
    engine.stop(5s);
    engine.close();
    return done.state == holdfast::State::completed ? 0 : 1;
  } catch (const holdfast::Error& e) {
    std::fprintf(stderr, "%s (%s)\n", e.what(), hf_errname(e.code()));
    return 1;
  }
}

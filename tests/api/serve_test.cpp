// hf_load_config and hf_serve, in a host program. What they do is tested in handlers/ and platform/.
#include <atomic>
#include <fstream>
#include <thread>

#include "api_fixture.h"
#include "tests/platform/unix_client.h"

using namespace hf::test;

namespace {

class Served : public ApiFixture {
 public:
  bool says(const char* part) { return std::string(hf_errmsg(engine)).find(part) != std::string::npos; }
  std::string socket() const { return dir + "/admin.sock"; }
  std::string write(const std::string& text) {
    std::string file = dir + "/holdfast.json";
    std::ofstream(file) << text;
    return file;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Served, "the example of a configuration is a good one") {
  const char* example = HOLDFAST_SOURCE_DIR "/examples/config/holdfast.json";
  int code = hf_load_config(engine, example);
  INFO(hf_errmsg(engine));
  REQUIRE(code == HF_OK);
  CHECK(hf_load_config(engine, example) == HF_OK);  // again: no difference
  add("disk");
}

TEST_CASE_FIXTURE(Served, "a bad configuration changes nothing and says where it is bad") {
  CHECK(hf_load_config(engine, nullptr) == HF_E_INVALID);
  CHECK(hf_load_config(engine, (dir + "/none.json").c_str()) != HF_OK);
  CHECK(says("none.json"));
  CHECK(hf_load_config(engine, write("{").c_str()) == HF_E_INVALID);
  CHECK(hf_load_config(engine, write(R"({"queues": {"default": {"concurency": 4}}})").c_str()) == HF_E_INVALID);
  CHECK(says("concurrency"));  // the nearest known name
  CHECK(hf_load_config(engine, write(R"({"queues": {"default": {"concurrency": 4}}})").c_str()) == HF_OK);
}

TEST_CASE_FIXTURE(Served, "hf_serve: paths that cannot be, and one that is taken") {
  REQUIRE(hf_start(engine) == HF_OK);
  CHECK(hf_serve(engine, nullptr, nullptr) == HF_E_INVALID);
  CHECK(hf_serve(engine, (dir + "/" + std::string(120, 'x')).c_str(), nullptr) == HF_E_INVALID);
  CHECK(hf_serve(engine, (dir + "/no/folder.sock").c_str(), nullptr) == HF_E_NOT_FOUND);
  hf_serve_options options = HF_SERVE_OPTIONS_INIT;
  options.group = "no-such-group";
  CHECK(hf_serve(engine, socket().c_str(), &options) == HF_E_NOT_FOUND);
  options.group = nullptr;
  options.max_clients = 1025;
  CHECK(hf_serve(engine, socket().c_str(), &options) == HF_E_INVALID);
  options.struct_size = 0;
  CHECK(hf_serve(engine, socket().c_str(), &options) == HF_E_INVALID);
  CHECK(hf_serve(engine, socket().c_str(), nullptr) == HF_OK);
  CHECK(hf_serve(engine, socket().c_str(), nullptr) == HF_E_CONFLICT);
  hf_engine* old = engine;
  close();
  CHECK_FALSE(std::filesystem::exists(socket()));
  CHECK(hf_serve(old, socket().c_str(), nullptr) == HF_E_STATE);
}

TEST_CASE_FIXTURE(Served, "a name that is empty is no name: nothing is there, and the first one is not shown") {
  REQUIRE(hf_serve(engine, socket().c_str(), nullptr) == HF_OK);
  hf::UnixClient client(socket());
  for (bool some : {false, true}) {
    CAPTURE(some);
    for (const char* at : {"/v1/subscriptions/", "/v1/conditions/", "/v1/schedules/", "/v1/queues/", "/v1/jobs/", "/v1/jobs//why"}) {
      CAPTURE(at);
      CHECK(client.get(at).status == 404);
    }
    if (some) break;
    REQUIRE(hf_condition(engine, "c", nullptr, nullptr, nullptr) == HF_OK);
    add("x");
  }
  CHECK(client.get("/v1/conditions/c").status == 200);
  CHECK(client.get("/v1/conditions/d").status == 404);
}

TEST_CASE_FIXTURE(Served, "hf_close while others serve and load") {
  REQUIRE(hf_start(engine) == HF_OK);
  // With a file that is watched, and without: what watches it must not be there when the loop ends.
  const std::string files[] = {dir + "/one.json", dir + "/other.json"};
  std::ofstream(files[0]) << R"({"queues": {"default": {"concurrency": 4}}, "link": {"file": ")" << dir << R"(/link"}})";
  std::ofstream(files[1]) << R"({"queues": {"default": {"concurrency": 5}}})";
  std::atomic<int> other{0};
  Count going;
  std::thread server([&] {
    for (int n = 0;; ++n) {
      int code = hf_serve(engine, (dir + "/" + std::to_string(n)).c_str(), nullptr);
      if (code == HF_E_STATE) return;
      if (code != HF_OK) ++other;
      if (n == 2) going.add();
    }
  });
  std::thread loader([&] {
    for (int n = 0;; ++n) {
      int code = hf_load_config(engine, files[n % 2].c_str());
      if (code == HF_E_STATE) return;
      if (code != HF_OK) ++other;
      if (n == 2) going.add();
    }
  });
  going.wait(2);
  CHECK(hf_close(engine) == HF_OK);
  server.join();
  loader.join();
  CHECK(other == 0);
  engine = nullptr;
}

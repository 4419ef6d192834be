// A file that says which link there is.
#include "handlers/link_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "platform/clock.h"
#include "tests/temp_folder.h"

using namespace hf;

namespace {

struct Fixture {
  TempFolder folder;
  std::string file = folder / "link";
  std::unique_ptr<Host> host = Host::open(folder / "queue.db", {}).value();
  std::shared_ptr<LinkFile> watched = std::make_shared<LinkFile>(*host, file);
  ~Fixture() { host->close(); }

  void watch() {
    REQUIRE(host->set_budgets({{}, "satellite"}, [watching = watched] { watching->stop(); }).ok());
    watched->start();
  }
  void write(const std::string& text) { std::ofstream(file) << text; }
  std::string link() { return std::get<Stats>(host->call(GetStats{})).link; }
  bool becomes(const std::string& name) {
    const int64_t end_ms = boot_ms() + 20'000;
    while (link() != name) {
      if (boot_ms() > end_ms) return false;
      std::this_thread::yield();
    }
    return true;
  }
};

}  // namespace

TEST_SUITE("link file") {
  TEST_CASE_FIXTURE(Fixture, "it is read at once, when it is written, and when another one takes its place") {
    write("metered\n");
    watch();
    CHECK(becomes("metered"));
    write("  unmetered eth0\n");
    CHECK(becomes("unmetered"));
    std::ofstream(folder / "new") << "satellite";
    REQUIRE(rename((folder / "new").c_str(), file.c_str()) == 0);
    CHECK(becomes("satellite"));
  }

  TEST_CASE_FIXTURE(Fixture, "what is none says nothing: no file, an empty one, a FIFO, a name that nobody knows") {
    watch();
    REQUIRE(mkfifo(file.c_str(), 0600) == 0);
    CHECK(becomes("satellite"));
    REQUIRE(remove(file.c_str()) == 0);
    write("");
    write("metred");
    write("metered");
    CHECK(becomes("metered"));
    REQUIRE(remove(file.c_str()) == 0);
    CHECK(link() == "metered");
  }
}

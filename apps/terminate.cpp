// What says that nothing caught an exception. The C++ library's own brings its demangler into a static program, 30 KB, to name
// the type.
#include <cstdio>
#include <cstdlib>
#include <exception>

namespace __gnu_cxx {

void __verbose_terminate_handler() {
  try {
    if (std::current_exception()) throw;
    std::fputs("holdfast: terminated\n", stderr);
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "holdfast: an exception that nothing caught: %s\n", exception.what());
  } catch (...) {
    std::fputs("holdfast: an exception that nothing caught\n", stderr);
  }
  std::abort();
}

}  // namespace __gnu_cxx

// Every call that makes or uses a socket or a pipe, or makes a descriptor, fails, on whichever thread, once and for a while.
#include <doctest/doctest.h>

#include "world.h"

TEST_CASE("faults: each call on a socket fails, once and for a while") { hf::test::fail_each(100, 25, 5); }

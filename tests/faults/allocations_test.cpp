// Every allocation of the library and of the libraries under it fails, on whichever thread, once and for a while.
#include <doctest/doctest.h>

#include "world.h"

TEST_CASE("faults: each allocation fails, once and for a while") { hf::test::fail_each(1000, 60, 8); }

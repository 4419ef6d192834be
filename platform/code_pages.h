// Pages of code that only the start of a program needed.
#pragma once

namespace hf {

// The kernel may have back all pages of code, of the program and its libraries: what is needed again is mapped again, mostly without a read.
// For a program that has started and will be idle: the code of its options and its configuration is the largest part of what it keeps
// mapped. Not for a library, whose host has code of its own. Thread: any, others may run.
void let_go_of_code();

}  // namespace hf

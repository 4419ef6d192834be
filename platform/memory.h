// What becomes of an allocation that fails outside of core/ and the C API, which make HF_E_NO_MEMORY of it.
//
// guarded() stands wherever C calls us (libuv, mbedTLS, llhttp, a thread's start): what had no memory costs the one client,
// request or run, and whoever waits for it is told. What must not fail then (the end of a run, an answer, closing) was
// allocated before it was needed. For the few steps that can neither fail nor be prepared there is patient().
#pragma once

#include <time.h>

#include <exception>
#include <new>
#include <utility>

namespace hf {

// Calls `f`. False: memory ran out in it.
template <class F>
[[nodiscard]] bool guarded(F&& f) noexcept {
  try {
    std::forward<F>(f)();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

inline void pause_ms(int ms) {
  const timespec time{0, ms * 1'000'000L};
  nanosleep(&time, nullptr);
}

// Calls `f` until it does not run out of memory: after 1 ms, 2, 4, ... 64 ms, for about kPatienceMs. After that the process
// ends (std::terminate); nothing that was acknowledged is lost by it. On the engine thread, which waits
// for the disk as well; elsewhere only where something closes, or would be for ever without an end.
// REQUIRES: `f` has done nothing when it throws.
inline constexpr int kPatienceMs = 10'000;
template <class F>
auto patient(F&& f) noexcept {
  for (int waited = 0, pause = 1;; waited += pause, pause = pause < 64 ? pause * 2 : pause) {
    try {
      return f();
    } catch (const std::bad_alloc&) {
      if (waited >= kPatienceMs) std::terminate();
    }
    pause_ms(pause);
  }
}

}  // namespace hf

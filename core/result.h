// Result<T>: a value or an Error. Nothing in core/ reports a failure in any other way.
//
// Codes come from the one table in <holdfast.h> (HF_ERRORS); the message is for a person: what was
// wrong, where, and what is allowed.
#pragma once

#include <holdfast.h>

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace hf {

struct Error {
  int code = HF_E_INTERNAL;  // one of HF_E_*, never HF_OK
  std::string message;       // UTF-8, one line, no trailing period needed
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // REQUIRES: ok()
  T& value() & { assert(ok()); return *std::get_if<0>(&state_); }
  const T& value() const& { assert(ok()); return *std::get_if<0>(&state_); }
  T&& value() && { assert(ok()); return std::move(*std::get_if<0>(&state_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  const T& operator*() const& { return value(); }

  // REQUIRES: !ok()
  const Error& error() const { assert(!ok()); return *std::get_if<1>(&state_); }

 private:
  std::variant<T, Error> state_;
};

// The value of a function that returns nothing but may fail.
struct Done {};
using Status = Result<Done>;

inline Status ok_status() { return Done{}; }

}  // namespace hf

// Returns the error of `expr` (a Result or Status) from the enclosing function, if it failed.
#define HF_TRY(expr)                                   \
  do {                                                 \
    if (auto hf_try_result_ = (expr); !hf_try_result_) \
      return hf_try_result_.error();                   \
  } while (0)

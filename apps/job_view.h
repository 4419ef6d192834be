// Jobs as people see them, from the JSON of the admin API; and the options that make them.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "apps/session.h"

namespace hf {

// ---- looking at jobs

std::string state_word(const Json& job);  // "scheduled", "delivering", or the state
Colour state_colour(std::string_view word);
std::string bytes_of(const Json& object, const std::string& name);  // of `name` or `name`_base64
// The time in `name` of `object`, 0 if there is none.
int64_t time_of(const Json& object, const char* name);

std::string job_table(const Json& jobs, const Terminal& terminal, int64_t now_ms);
std::string job_page(const Json& job, const Terminal& terminal, int64_t now_ms);
std::string why_page(const Json& why, const Terminal& terminal, int64_t now_ms);

// What somebody has set, a line for each member.
std::string settings_page(const Json& settings, const Terminal& terminal);

// ---- making them

// TEXT, @FILE, - for stdin, @@TEXT for a text that starts with @. HF_E_IO, HF_E_TOO_LARGE.
Result<std::string> read_payload(const std::string& argument);
void put_payload(Json* body, const std::string& bytes);
// Sets `name` unless the text is empty.
void put_text(Json* body, const char* name, const std::string& text);

// What one job and the jobs of a schedule say alike.
struct JobOptions {
  std::string queue, timeout, ttl, sink, callback, failure_callback, tags, concurrency_key, durability;
  std::optional<int> priority, max_attempts;
  void describe(CLI::App& app);
  void put(Json* body) const;
};

}  // namespace hf

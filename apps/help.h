// How help and usage errors look.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace hf {

// Two columns, groups in the order in which they were made, examples last.
class HelpFormatter : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;
};

// The app whose command line was being read: the last subcommand of the last ... that was named.
const CLI::App& innermost(const CLI::App& app);

// One line: what is wrong, the nearest name if one was mistyped, and where to read on.
std::string usage_error(const CLI::App& app, const CLI::ParseError& error);

}  // namespace hf

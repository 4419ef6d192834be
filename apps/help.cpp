#include "apps/help.h"

#include <algorithm>
#include <vector>

#include "core/names.h"
#include "platform/json_fields.h"

namespace hf {
namespace {

constexpr size_t kLeftWidth = 26;
constexpr size_t kLineWidth = 96;

// "holdfast schedule put"
std::string full_name(const CLI::App& app) {
  const std::string parent = app.get_parent() ? full_name(*app.get_parent()) + " " : "";
  return parent + app.get_name();
}

std::string row(const std::string& left, const std::string& right) {
  std::string text = "  " + left;
  text += left.size() + 2 < kLeftWidth ? std::string(kLeftWidth - left.size() - 2, ' ')
                                       : "\n" + std::string(kLeftWidth, ' ');
  // Wrapped at blanks.
  size_t column = kLeftWidth;
  std::string word;
  for (size_t at = 0; at <= right.size(); ++at) {
    if (at < right.size() && right[at] != ' ') {
      word += right[at];
      continue;
    }
    if (column > kLeftWidth && column + word.size() + 1 > kLineWidth) {
      text += "\n" + std::string(kLeftWidth, ' ');
      column = kLeftWidth;
    }
    if (column > kLeftWidth) text += ' ';
    column += word.size() + (column > kLeftWidth ? 1 : 0);
    text += word;
    word.clear();
  }
  return text + "\n";
}

std::string option_left(const CLI::Option& option) {
  std::string text = option.get_name(false, true);
  std::replace(text.begin(), text.end(), ',', ' ');
  if (const size_t space = text.find(' '); space != std::string::npos) text.insert(space, ",");
  return option.get_option_text().empty() ? text : text + " " + option.get_option_text();
}

std::string positional_name(const CLI::Option& option) {
  std::string name = option.get_option_text();
  if (name.empty()) name = option.get_name(true);
  if (option.get_items_expected_max() > 1) name += "...";
  return name;
}

std::string usage(const CLI::App& app) {
  std::string text = "Usage: " + full_name(app);
  if (!app.get_subcommands({}).empty()) return text + " COMMAND\n";
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) continue;
    const std::string name = positional_name(*option);
    text += option->get_required() ? " " + name : " [" + name + "]";
  }
  return text + " [OPTIONS]\n";
}

template <class Items, class GroupOf>
std::vector<std::string> groups_of(const Items& items, GroupOf group_of) {
  std::vector<std::string> groups;
  for (const auto* item : items) {
    const std::string group = group_of(item);
    if (!group.empty() && std::find(groups.begin(), groups.end(), group) == groups.end())
      groups.push_back(group);
  }
  return groups;
}

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* app, std::string, CLI::AppFormatMode) const {
  std::string text = full_name(*app) + ": " + app->get_description() + "\n";
  if (!app->get_parent()) text = app->get_description() + "\n";
  text += "\n" + usage(*app);

  std::string positionals;
  for (const CLI::Option* option : app->get_options()) {
    if (option->get_positional())
      positionals += row(positional_name(*option), option->get_description());
  }
  if (!positionals.empty()) text += "\n" + positionals;

  const auto subcommands = app->get_subcommands([](const CLI::App*) { return true; });
  for (const std::string& group :
       groups_of(subcommands, [](const CLI::App* sub) { return sub->get_group(); })) {
    text += "\n" + group + ":\n";
    for (const CLI::App* sub : subcommands) {
      if (sub->get_group() == group) text += row(sub->get_name(), sub->get_description());
    }
  }

  auto options =
      app->get_options([](const CLI::Option* option) { return option->nonpositional(); });
  // --help, which each has first, goes with the other common ones, last.
  const auto group_of = [](const CLI::Option* option) { return option->get_group(); };
  std::rotate(options.begin(), options.begin() + 1, options.end());
  const bool few = !subcommands.empty();  // then one list will do
  for (const std::string& group : groups_of(options, group_of)) {
    text += "\n" + (few ? std::string("Options") : group) + ":\n";
    for (const CLI::Option* option : options) {
      if (group_of(option) == group) text += row(option_left(*option), option->get_description());
    }
  }
  if (!app->get_footer().empty()) text += "\n" + app->get_footer() + "\n";
  return text;
}

const CLI::App& innermost(const CLI::App& app) {
  const auto parsed = app.get_subcommands();
  return parsed.empty() ? app : innermost(*parsed.back());
}

std::string usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& place = innermost(app);
  const std::string more = " (see " + full_name(place) + " --help)";
  // What fail() writes begins with "holdfast: ".
  const std::string prefix = place.get_parent() ? full_name(place).substr(9) + ": " : "";
  const auto extra = place.remaining();
  if (extra.empty()) {
    const auto subcommands = place.get_subcommands([](const CLI::App*) { return true; });
    std::string what = subcommands.empty() ? std::string(error.what()) : "a command is missing";
    // All values that the parser itself converts are whole numbers.
    constexpr std::string_view kNoNumber = "Could not convert: ";
    if (what.starts_with(kNoNumber)) {
      what = what.substr(kNoNumber.size()) + ": a whole number is expected";
    }
    return prefix + what + more;
  }
  const std::string& word = extra.front();
  std::vector<std::string> known;
  std::string kind = "argument";
  if (word.size() > 1 && word[0] == '-') {
    kind = "option";
    for (const CLI::Option* option : place.get_options()) {
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
      for (const std::string& name : option->get_snames()) known.push_back("-" + name);
    }
  } else {
    for (const CLI::App* sub : place.get_subcommands([](const CLI::App*) { return true; })) {
      kind = "command";
      known.push_back(sub->get_name());
    }
  }
  const std::vector<std::string_view> names(known.begin(), known.end());
  const std::string_view name =
      std::string_view(word).substr(0, kind == "option" ? word.find('=') : word.npos);
  return prefix + (kind == "argument" ? "unexpected " : "unknown ") + kind + " " +
         hf::quoted(word) + did_you_mean(name, names) + more;
}

}  // namespace hf

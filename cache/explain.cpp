#include "cache/explain.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "cache/content_digest.h"
#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::cache {
namespace {

constexpr std::string_view kArrow = " → ";
constexpr std::size_t kShownBytes = 60;  // of a value
constexpr std::size_t kLeadBytes = 12;   // of what two long values share, in front of the change

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += separator;
    out += part;
  }
  return out;
}

/// The nearest start of a UTF-8 character at or before `at`.
std::size_t character_start(std::string_view text, std::size_t at) {
  while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

/// `value` from about `begin` on, as long as fits into a line.
std::string excerpt(const std::string& value, std::size_t begin) {
  const std::size_t first = character_start(value, begin);
  const std::size_t last = character_start(value, std::min(value.size(), first + kShownBytes));
  const std::string shown = value.substr(first, last - first);
  return base::quoted((first > 0 ? "…" : "") + shown + (last < value.size() ? "…" : ""));
}

/// `"old" → "new"`; of long values the part around the first difference.
std::string change_of(std::string_view before, std::string_view now) {
  const std::string old_value = base::redacted(before), new_value = base::redacted(now);
  std::size_t begin = 0;
  if (std::max(old_value.size(), new_value.size()) > kShownBytes) {
    const auto same = std::ranges::mismatch(old_value, new_value).in1 - old_value.begin();
    if (static_cast<std::size_t>(same) > kLeadBytes)
      begin = static_cast<std::size_t>(same) - kLeadBytes;
  }
  return excerpt(old_value, begin).append(kArrow).append(excerpt(new_value, begin));
}

bool is_files_field(std::string_view name) {
  return name == field::kFiles || name.starts_with(std::string(field::kFiles) + ' ');
}

bool is_stored_as_digest(std::string_view value) {
  return value.starts_with("sha256:");
}

/// What a field is called in a sentence, and whether its values may be shown.
struct FieldWords {
  std::string subject;
  bool show_values = true;
};

FieldWords words_for(const std::string& name) {
  if (name == field::kCommand) return {"the command"};
  if (is_files_field(name)) {
    const std::string_view what = std::string_view(name).substr(field::kFiles.size());
    return {what.empty() ? "the content of the files" : "the content of" + std::string(what),
            false};
  }
  if (name.starts_with(field::kVariable)) {
    const std::string variable = name.substr(field::kVariable.size());
    return {"variable " + variable, !looks_secret(variable)};
  }
  return {name};
}

using Value = std::optional<std::string_view>;

/// One field that differs; an absent value means that the field itself is new or gone.
std::string describe_field(const std::string& name, Value before, Value now) {
  if (name == field::kBase && before && now) return "the step below gave another result";
  const FieldWords words = words_for(name);
  const bool digest =
      is_stored_as_digest(before.value_or("")) || is_stored_as_digest(now.value_or(""));
  const bool show = words.show_values && !digest;
  if (!now) return words.subject + " is gone";
  if (!before)
    return words.subject + " is new" + (show ? ": " + excerpt(base::redacted(*now), 0) : "");
  return words.subject + " changed" + (show ? ": " + change_of(*before, *now) : "");
}

/// Fields by name; of fields with the same name the first goes with the first, and so on. The words
/// of a command are one value.
using FieldId = std::pair<std::string, int>;
using NumberedFields = std::vector<std::pair<FieldId, std::string>>;
NumberedFields numbered(std::span<const KeyField> fields) {
  std::map<std::string_view, int> count;
  NumberedFields out;
  std::optional<std::size_t> command;
  for (const KeyField& field : fields) {
    if (field.name == field::kCommand && command) {
      out[*command].second += ' ' + field.value;
      continue;
    }
    if (field.name == field::kCommand) command = out.size();
    out.push_back({{field.name, count[field.name]++}, field.value});
  }
  return out;
}

Value value_of(const std::map<FieldId, std::string_view>& fields, const FieldId& id) {
  const auto found = fields.find(id);
  return found == fields.end() ? Value() : Value(found->second);
}

std::string octal(std::uint32_t mode) {
  std::string digits;
  for (std::uint32_t rest = mode & 07777; rest != 0 || digits.size() < 3; rest /= 8)
    digits.insert(digits.begin(), static_cast<char>('0' + rest % 8));
  return digits;
}

std::string type_name(std::uint32_t mode) {
  if (S_ISREG(mode)) return "a file";
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISLNK(mode)) return "a symlink";
  return "a special file";
}

/// `"run.sh" changed and mode 644 → 755`; empty if nothing differs.
std::string describe_file(const ManifestEntry& before, const ManifestEntry& now) {
  std::vector<std::string> changes;
  if ((before.mode & S_IFMT) != (now.mode & S_IFMT)) {
    changes.push_back("is now " + type_name(now.mode));
  } else {
    if (before.content != now.content)
      changes.push_back(S_ISLNK(now.mode) ? "points elsewhere" : "changed");
    if (before.mode != now.mode)
      changes.push_back("mode " + octal(before.mode) + std::string(kArrow) + octal(now.mode));
    if (before.uid != now.uid || before.gid != now.gid)
      changes.push_back("owner " + std::to_string(before.uid) + ':' + std::to_string(before.gid) +
                        std::string(kArrow) + std::to_string(now.uid) + ':' +
                        std::to_string(now.gid));
    if (before.attributes != now.attributes) changes.push_back("attributes changed");
  }
  return changes.empty() ? "" : base::quoted(now.path) + ' ' + join(changes, " and ");
}

std::vector<const ManifestEntry*> in_walk_order(const FileManifest& manifest) {
  std::vector<const ManifestEntry*> sorted;
  sorted.reserve(manifest.entries.size());
  for (const ManifestEntry& entry : manifest.entries) sorted.push_back(&entry);
  std::ranges::stable_sort(
      sorted, walk_order_less,
      [](const ManifestEntry* entry) -> const std::string& { return entry->path; });
  return sorted;
}

/// Collects what happened to files, in walk order. A directory that came or went speaks for
/// everything in it.
class FileStory {
 public:
  void changed(std::string text) { told_.push_back(std::move(text)); }

  void came_or_went(const ManifestEntry& entry, std::string_view verb) {
    if (verb == verb_ && entry.path.starts_with(directory_)) return;
    told_.push_back(base::quoted(entry.path) + ' ' + std::string(verb));
    if (!S_ISDIR(entry.mode)) return;
    directory_ = entry.path + '/';
    verb_ = verb;
  }

  std::string text() && {
    const std::size_t more = told_.size() > kNamedFiles ? told_.size() - kNamedFiles : 0;
    if (more > 0) {
      told_.resize(kNamedFiles);
      told_.push_back("and " + std::to_string(more) + " more");
    }
    return join(told_, ", ");
  }

 private:
  std::vector<std::string> told_;
  std::string directory_;
  std::string_view verb_;
};

}  // namespace

std::string explain_files(const FileManifest& before, const FileManifest& now) {
  const auto old_files = in_walk_order(before), new_files = in_walk_order(now);
  FileStory story;
  auto old_file = old_files.begin();
  auto new_file = new_files.begin();
  while (old_file != old_files.end() || new_file != new_files.end()) {
    if (new_file == new_files.end() ||
        (old_file != old_files.end() && walk_order_less((*old_file)->path, (*new_file)->path))) {
      story.came_or_went(**old_file++, "removed");
    } else if (old_file == old_files.end() ||
               walk_order_less((*new_file)->path, (*old_file)->path)) {
      story.came_or_went(**new_file++, "added");
    } else if (std::string change = describe_file(**old_file++, **new_file++); !change.empty()) {
      story.changed(std::move(change));
    }
  }
  return std::move(story).text();
}

std::string explain_miss(const KeyStory& before, const KeyStory& now) {
  const auto old_list = numbered(before.fields), new_list = numbered(now.fields);
  const std::map<FieldId, std::string_view> old_fields(old_list.begin(), old_list.end());
  const std::map<FieldId, std::string_view> new_fields(new_list.begin(), new_list.end());

  std::string files;
  if (before.files != nullptr && now.files != nullptr)
    files = explain_files(*before.files, *now.files);

  std::vector<std::string> changes;
  bool told_files = false;
  const auto tell = [&](const FieldId& id, Value old_value, Value new_value) {
    if (old_value == new_value) return;
    if (!is_files_field(id.first) || files.empty()) {
      changes.push_back(describe_field(id.first, old_value, new_value));
    } else if (!std::exchange(told_files, true)) {
      changes.push_back(files);
    }
  };
  for (const auto& [id, value] : new_list) tell(id, value_of(old_fields, id), value);
  for (const auto& [id, value] : old_list)
    if (!new_fields.contains(id)) tell(id, value, std::nullopt);
  // Order and division of fields are part of the key too.
  if (changes.empty() && old_list != new_list)
    changes.emplace_back("the order of variables changed");
  if (changes.empty() && !std::ranges::equal(before.fields, now.fields))
    changes.emplace_back("the command is divided into other words");
  return join(changes, "; ");
}

}  // namespace strake::cache

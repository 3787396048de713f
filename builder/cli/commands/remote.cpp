#include <algorithm>
#include <nlohmann/json.hpp>

#include "builder/cli/commands/commands.h"
#include "builder/cli/commands/shown_transfer.h"
#include "builder/cli/terminal_io.h"
#include "builder/cli/terminal_text.h"
#include "builder/cli/text_table.h"
#include "builder/images/artifacts.h"
#include "builder/images/index_edit.h"
#include "layers/base/error.h"
#include "layers/oci/json.h"

namespace strake::cli {
namespace {

using Json = nlohmann::ordered_json;

bool as_json(const OutputFormat& format) {
  return format.kind == OutputFormat::Kind::json;
}

/// The tags of a repository that name the manifest. Empty where tags cannot be listed.
std::vector<std::string> tags_of(Session& session, const oci::Repository& repository,
                                 const base::Digest& digest) {
  std::vector<std::string> names;
  try {
    for (const std::string& tag : session.registry().list_tags(repository, session.stop())) {
      try {
        const oci::Reference name{repository, tag, std::nullopt};
        if (session.registry().resolve(name, session.stop(), registry::Mirrors::passed_by).digest ==
            digest)
          names.push_back(tag);
      } catch (const base::Error& error) {
        if (error.code() != base::ErrorCode::not_found) throw;  // deleted meanwhile
      }
    }
  } catch (const base::Error& error) {
    if (error.code() != base::ErrorCode::denied && error.code() != base::ErrorCode::not_found)
      throw;
  }
  std::ranges::sort(names);
  return names;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

/// Says what deleting the manifest itself would do.
base::Error with_way_out(const base::Error& error, Session& session, const oci::Reference& tag) {
  const base::Digest digest =
      session.registry().resolve(tag, session.stop(), registry::Mirrors::passed_by).digest;
  const std::vector<std::string> tags = tags_of(session, tag.repository, digest);
  const oci::Reference manifest{tag.repository, std::nullopt, digest};
  return base::Error(error.code(), error.what())
      .hint("\"strake delete " + manifest.familiar() + "\" deletes the manifest and all its tags")
      .note("the manifest " + digest.str() + " has the tags: " + joined(tags));
}

void delete_one(Session& session, const oci::Reference& name, const OutputFormat& format) {
  std::vector<std::string> gone;  // tags
  if (name.digest) {
    gone = tags_of(session, name.repository, *name.digest);
  } else {
    gone = {*name.tag};
  }
  try {
    session.registry().delete_manifest(name, session.stop());
  } catch (const base::Error& error) {
    if (name.digest || error.code() != base::ErrorCode::unsupported) throw;
    throw with_way_out(error, session, name);
  }
  if (as_json(format)) {
    Json object{{"repository", name.repository.str()}, {"tags", gone}};
    if (name.digest) object["digest"] = name.digest->str();
    return print(object.dump() + "\n");
  }
  for (const std::string& tag : gone)
    print("Untagged: " + oci::Reference{name.repository, tag, std::nullopt}.familiar() + "\n");
  if (name.digest)
    print("Deleted: " + oci::Reference{name.repository, std::nullopt, name.digest}.familiar() +
          "\n");
}

oci::Descriptor resolve(Session& session, const oci::Reference& name,
                        const std::optional<oci::Platform>& platform) {
  if (!platform) return session.registry().resolve(name, session.stop());
  const auto source = builder::registry_source(session.registry(), name, session.stop());
  return builder::read_image(*source, std::span(&*platform, 1)).root;
}

std::string annotation(const oci::Descriptor& descriptor, const char* key) {
  const auto found = descriptor.annotations.find(key);
  return found == descriptor.annotations.end() ? "" : found->second;
}

}  // namespace

void run(const TagsCommand& command, Session& session) {
  const std::vector<std::string> tags =
      session.registry().list_tags(command.repository, session.stop());
  if (as_json(command.format))
    return print(Json{{"name", command.repository.str()}, {"tags", tags}}.dump() + "\n");
  std::string text;
  for (const std::string& tag : tags) text += printable(tag) + "\n";
  print(text);
}

void run(const DeleteCommand& command, Session& session) {
  for (const oci::Reference& name : command.names) delete_one(session, name, command.format);
}

void run(const DigestCommand& command, Session& session) {
  std::string text;
  for (const oci::Reference& name : command.names) {
    const oci::Descriptor found = resolve(session, name, command.platform);
    text += as_json(command.format) ? Json{{"name", name.str()},
                                           {"digest", found.digest.str()},
                                           {"mediaType", found.media_type},
                                           {"size", found.size}}
                                          .dump()
                                    : found.digest.str();
    text += "\n";
  }
  print(text);
}

void run(const ReferrersCommand& command, Session& session) {
  const base::Digest subject = command.subject.digest
                                   ? *command.subject.digest
                                   : resolve(session, command.subject, std::nullopt).digest;
  const std::vector<oci::Descriptor> referrers = session.registry().list_referrers(
      command.subject.repository, subject, command.artifact_type, session.stop());
  if (as_json(command.format)) {
    Json list = Json::array();
    for (const oci::Descriptor& referrer : referrers) list.push_back(oci::to_json(referrer));
    return print(list.dump() + "\n");
  }
  std::vector<std::vector<std::string>> rows{{"DIGEST", "TYPE", "CREATED", "SIZE"}};
  for (const oci::Descriptor& referrer : referrers)
    rows.push_back({referrer.digest.str(), referrer.artifact_type,
                    annotation(referrer, "org.opencontainers.image.created"),
                    format_bytes(static_cast<double>(referrer.size))});
  print(text_table(rows));
}

void run(const AttachCommand& command, Session& session) {
  base::Digest digest;
  show_transfer(session, command.quiet, "attach to " + command.subject.familiar(),
                [&](const builder::CopyOptions& options) {
                  digest = builder::attach_files(session.registry(), command.subject,
                                                 command.artifact_type, command.files,
                                                 command.annotations, options)
                               .descriptor.digest;
                });
  print(digest.str() + "\n");
}

}  // namespace strake::cli

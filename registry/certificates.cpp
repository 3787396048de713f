#include "registry/certificates.h"

#include <sys/mman.h>

#include <algorithm>
#include <filesystem>

#include "layers/base/error.h"
#include "layers/base/files.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;
namespace fs = std::filesystem;

constexpr std::size_t kLargestCaFile = 16 << 20;

/// The files of `directory` with that extension, in the order of names.
std::vector<fs::path> files_of(const fs::path& directory, const char* extension) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator i(directory, error), end; !error && i != end; i.increment(error)) {
    if (i->path().extension() == extension) found.push_back(i->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

void add_client_certificate(Certificates& certificates, const fs::path& directory) {
  for (const fs::path& cert : files_of(directory, ".cert")) {
    fs::path key = cert;
    key.replace_extension(".key");
    std::error_code error;
    if (!fs::exists(key, error)) {
      throw Error(ErrorCode::invalid_input,
                  "client certificate " + base::quoted(cert.string()) + " has no key")
          .hint("put it into " + base::quoted(key.string()) +
                (cert.stem() == "ca" ? ", or name a CA certificate *.crt" : ""));
    }
    if (!certificates.cert_file.empty()) return;
    certificates.cert_file = cert.string();
    certificates.key_file = key.string();
  }
}

}  // namespace

Certificates find_certificates(const std::string& host, std::span<const std::string> directories) {
  Certificates certificates;
  for (const std::string& directory : directories) {
    const fs::path own = fs::path(directory) / host;
    for (const fs::path& file : files_of(own, ".crt")) {
      certificates.ca_files.push_back(file.string());
    }
    add_client_certificate(certificates, own);
  }
  return certificates;
}

CaBundle::CaBundle(std::span<const std::string> files) {
  std::string bundle;
  for (const std::string& file : files) {
    const std::optional<std::string> text = base::read_file(file, kLargestCaFile);
    if (!text || text->find("-----BEGIN ") == text->npos) {
      throw Error(ErrorCode::invalid_input,
                  "there is no certificate in " + base::quoted(file) + ", which is to be trusted");
    }
    bundle += *text + "\n";
  }
  if (files.size() == 1) path_ = files[0];
  if (files.size() < 2) return;
  file_ = base::FileDescriptor(memfd_create("strake-ca", MFD_CLOEXEC));
  if (!file_) throw base::system_error(errno, "create", "memory file");
  base::write_full(file_.get(), base::bytes_of(bundle), "memory file");
  path_ = "/proc/self/fd/" + std::to_string(file_.get());
}

}  // namespace strake::registry

#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "layers/base/error.h"
#include "layers/oci/reference.h"
#include "registry/http.h"

namespace strake::registry {

/// An answer that must not be followed: a redirect or an upload to where it may not go, a token
/// server that does not belong to the registry. Error(denied), but one of the server's making:
/// asked again it may have a better answer.
class RefusedAnswer final : public base::Error {
 public:
  explicit RefusedAnswer(std::string what) : Error(base::ErrorCode::denied, std::move(what)) {}
};

/// One entry of an error body. Spec: distribution-spec, "Error Codes".
struct RegistryErrorEntry {
  std::string code, message, detail;  // detail as text or compact JSON
  bool operator==(const RegistryErrorEntry&) const = default;
};

/// The entries of an error body; none if it is not one.
std::vector<RegistryErrorEntry> parse_error_body(std::string_view body);

/// "404, MANIFEST_UNKNOWN: manifest unknown": the status with what the registry said, escaped,
/// redacted and shortened for one line.
std::string describe(const HttpResponse& response);

/// Error for a response that means `what` failed ("cannot fetch manifest of "alpine:3.20""): the
/// code follows the status (401/403 → denied, 404 → not_found, 408, 429 and 5xx → unavailable, what
/// has another digest or size than announced → corrupt, others → unsupported), the message is
/// `what` with describe().
base::Error registry_error(std::string_view what, const HttpResponse& response);

/// The same for what was to be pushed to `to`; a refusal for lack of rights gets a hint.
base::Error push_error(std::string_view what, const oci::Repository& to,
                       const HttpResponse& response);

}  // namespace strake::registry

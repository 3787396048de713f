#include "layers/base/digest.h"

#include <openssl/sha.h>

#include <cstring>

#include "layers/base/error.h"
#include "layers/base/fd.h"

// The one-struct SHA256_* calls are deprecated in OpenSSL 3 in favour of EVP, but they use the same
// assembler (SHA-NI) and need none of the provider machinery, whose set-up costs more than
// everything else a cached build does.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace strake::base {

struct Sha256::State {
  SHA256_CTX context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  SHA256_Init(&state_->context);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

Sha256& Sha256::update(std::span<const std::byte> bytes) {
  SHA256_Update(&state_->context, bytes.data(), bytes.size());
  return *this;
}

Sha256& Sha256::update(std::string_view text) {
  return update(bytes_of(text));
}

Digest Sha256::finish() {
  Digest::Bytes bytes;
  SHA256_Final(bytes.data(), &state_->context);
  SHA256_Init(&state_->context);
  return Digest(bytes);
}

Digest Sha256::digest() const {
  SHA256_CTX context = state_->context;
  Digest::Bytes bytes;
  SHA256_Final(bytes.data(), &context);
  return Digest(bytes);
}

Digest Digest::of(std::span<const std::byte> bytes) {
  return Sha256().update(bytes).finish();
}
Digest Digest::of(std::string_view text) {
  return of(bytes_of(text));
}

Digest Digest::parse(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  if (text.substr(0, kPrefix.size()) != kPrefix)
    throw Error(ErrorCode::invalid_input, "invalid digest " + quoted(text.substr(0, 100)))
        .hint("write a digest as \"sha256:\" and 64 lower-case hex digits");
  return from_hex(text.substr(kPrefix.size()));
}

Digest Digest::from_hex(std::string_view hex) {
  const auto fail = [&] {
    return Error(ErrorCode::invalid_input, "invalid digest " + quoted(hex.substr(0, 100)))
        .hint("write a digest as \"sha256:\" and 64 lower-case hex digits");
  };
  const auto nibble = [&](char c) -> unsigned {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
    throw fail();
  };
  Digest digest;
  if (hex.size() != 2 * digest.bytes_.size()) throw fail();
  for (std::size_t i = 0; i < digest.bytes_.size(); ++i)
    digest.bytes_[i] = static_cast<std::uint8_t>(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
  return digest;
}

std::string Digest::hex() const {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes_.size());
  for (const std::uint8_t byte : bytes_) {
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::string Digest::str() const {
  return "sha256:" + hex();
}

ChainId chain_id(const ChainId& below, const DiffId& top) {
  if (below == ChainId{}) return {top.digest};
  return {Digest::of(below.digest.str() + " " + top.digest.str())};
}

ChainId chain_id(std::span<const DiffId> bottom_to_top) {
  ChainId chain;
  for (const DiffId& layer : bottom_to_top) chain = chain_id(chain, layer);
  return chain;
}

}  // namespace strake::base

std::size_t std::hash<strake::base::Digest>::operator()(
    const strake::base::Digest& digest) const noexcept {
  std::size_t value;
  std::memcpy(&value, digest.bytes().data(), sizeof value);
  return value;
}

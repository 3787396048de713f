#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace strake::base {

/// A sha256 content digest, written "sha256:<64 lowercase hex>".
/// Spec: image-spec descriptor.md, "Digests".
class Digest {
 public:
  using Bytes = std::array<std::uint8_t, 32>;

  Digest() = default;  // all zero; no content has this digest
  explicit Digest(const Bytes& bytes) : bytes_(bytes) {}

  /// Strict: lower-case hex only, exact length. Throws Error(invalid_input).
  static Digest parse(std::string_view text);
  /// From 64 lower-case hex digits, without the algorithm. Throws Error(invalid_input).
  static Digest from_hex(std::string_view hex);
  static Digest of(std::span<const std::byte> bytes);
  static Digest of(std::string_view text);

  std::string str() const;  // "sha256:…"
  std::string hex() const;  // without the algorithm
  const Bytes& bytes() const noexcept { return bytes_; }
  auto operator<=>(const Digest&) const = default;

 private:
  Bytes bytes_{};
};

/// Digest of a layer's *uncompressed* tar. Spec: config.md, "Layer DiffID".
struct DiffId {
  Digest digest;
  auto operator<=>(const DiffId&) const = default;
};

/// Identity of a stack of layers. Spec: config.md, "Layer ChainID".
struct ChainId {
  Digest digest;
  auto operator<=>(const ChainId&) const = default;
};

/// ChainID of the stack `bottom_to_top`; the empty stack (scratch) has the all-zero ChainId.
ChainId chain_id(std::span<const DiffId> bottom_to_top);
/// ChainID of `below` with one more layer on top.
ChainId chain_id(const ChainId& below, const DiffId& top);

/// SHA-256 of a stream of bytes.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  Sha256& update(std::span<const std::byte> bytes);
  Sha256& update(std::string_view text);
  /// The digest of everything so far; the object starts again afterwards.
  Digest finish();
  /// The digest of everything so far; more may follow.
  Digest digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace strake::base

template <>
struct std::hash<strake::base::Digest> {
  std::size_t operator()(const strake::base::Digest& digest) const noexcept;
};
template <>
struct std::hash<strake::base::DiffId> {
  std::size_t operator()(const strake::base::DiffId& id) const noexcept {
    return std::hash<strake::base::Digest>()(id.digest);
  }
};

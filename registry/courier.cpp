// A message is a packet of JSON. To the courier: a request, with the descriptors of the file and of
// the record's lock. Back: {"sent": n} from time to time, then the response or the error.
#include "registry/courier.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/spawn.h"
#include "registry/url.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;
using base::FileDescriptor;
using nlohmann::json;

constexpr std::size_t kPacketBytes = 160 * 1024;  // below what a socket takes at once
constexpr std::uint64_t kReportBytes = 1 << 20;
constexpr std::size_t kBodyBytes = 8 * 1024;  // of a response; an explanation is shorter
constexpr int kPollMilliseconds = 100;

struct Packet {
  json message;
  std::vector<FileDescriptor> files;
};

bool send_packet(int socket, const json& message, const std::vector<int>& files = {}) {
  std::string text = message.dump(-1, ' ', false, json::error_handler_t::replace);
  ::iovec part{text.data(), text.size()};
  alignas(::cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
  ::msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!files.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(files.size() * sizeof(int));
    ::cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(files.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), files.data(), files.size() * sizeof(int));
  }
  ::ssize_t sent;
  do {
    sent = ::sendmsg(socket, &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<::ssize_t>(text.size());
}

/// nullopt when the other end is closed, or what came is no message.
std::optional<Packet> receive_packet(int socket) {
  std::string text(kPacketBytes, '\0');
  ::iovec part{text.data(), text.size()};
  alignas(::cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
  ::msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ::ssize_t count;
  do {
    count = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count <= 0) return std::nullopt;
  Packet packet;
  for (::cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    std::vector<int> files((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    std::memcpy(files.data(), CMSG_DATA(c), files.size() * sizeof(int));
    for (const int file : files) packet.files.emplace_back(file);
  }
  packet.message = json::parse(text.data(), text.data() + count, nullptr, false);
  if (packet.message.is_discarded()) return std::nullopt;
  return packet;
}

json to_json(const HttpHeaders& headers) {
  json fields = json::array();
  for (const auto& [name, value] : headers) fields.push_back({name, value});
  return fields;
}
HttpHeaders headers_from(const json& fields) {
  HttpHeaders headers;
  for (const json& field : fields) headers.add(field.at(0), field.at(1));
  return headers;
}

json to_json(const HttpRequest& request, const Parcel& parcel) {
  json message = {{"method", request.method},
                  {"url", request.url},
                  {"headers", to_json(request.headers)},
                  {"offset", parcel.offset_bytes},
                  {"length", request.body_size},
                  {"verify", request.tls.verify},
                  {"ca", request.tls.ca_file},
                  {"cert", request.tls.cert_file},
                  {"key", request.tls.key_file},
                  {"record", parcel.record.file().native()},
                  {"subject", parcel.record.subject()}};
  if (request.answer_timeout) message["answer_ms"] = request.answer_timeout->count();
  return message;
}

HttpRequest request_from(const json& message) {
  HttpRequest request;
  request.method = message.at("method");
  request.url = message.at("url");
  request.headers = headers_from(message.at("headers"));
  request.body_size = message.at("length");
  request.tls = {message.at("verify"), message.at("ca"), message.at("cert"), message.at("key")};
  if (const auto found = message.find("answer_ms"); found != message.end()) {
    request.answer_timeout = std::chrono::milliseconds(found->get<std::int64_t>());
  }
  return request;
}

/// A part of a file, reported as it is read.
class ParcelSource final : public base::ByteSource {
 public:
  ParcelSource(int file, std::uint64_t offset, std::uint64_t size, int reports)
      : file_(file), position_(offset), left_(size), reports_(reports) {}

  std::size_t read(std::span<std::byte> buffer) override {
    const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), left_);
    const std::size_t count = base::pread_full(file_, buffer.first(wanted), position_, "blob");
    position_ += count;
    left_ -= count;
    sent_ += count;
    if (sent_ >= reported_ + kReportBytes) {
      reported_ = sent_;
      send_packet(reports_, {{"sent", sent_}});  // whoever wanted to know may be dead
    }
    return count;
  }

 private:
  int file_;
  std::uint64_t position_, left_;
  int reports_;
  std::uint64_t sent_ = 0, reported_ = 0;
};

/// What the next process needs: the newest Location, and how far it is.
void write_down(const json& message, const HttpResponse& response) {
  const Url url = parse_url(message.at("url").get<std::string>());
  const std::string_view location = response.headers.get("Location");
  const std::uint64_t offset = message.at("offset").get<std::uint64_t>();
  UploadSessions::write(message.at("record").get<std::string>(), message.at("subject"),
                        {location.empty() ? url.str() : resolve_url(url, location).str(),
                         offset + message.at("length").get<std::uint64_t>()});
}

json perform(HttpTransport& http, const Packet& packet, int socket) {
  const json& message = packet.message;
  try {
    HttpRequest request = request_from(message);
    ParcelSource body(packet.files.at(0).get(), message.at("offset"), request.body_size, socket);
    request.body = &body;
    HttpResponse response = http.perform(request, {});
    if (response.ok()) write_down(message, response);
    response.body.resize(std::min(response.body.size(), kBodyBytes));
    return {{"status", response.status},
            {"headers", to_json(response.headers)},
            {"body", response.body}};
  } catch (const Error& e) {
    return {{"error", static_cast<int>(e.code())}, {"what", e.what()}, {"hint", e.hint()}};
  }
}

/// Of our environment what a transport reads; credentials are often in the rest.
std::vector<char*> environment_of_transport() {
  constexpr std::array kNames = {"http_proxy",    "HTTP_PROXY",   "https_proxy",    "HTTPS_PROXY",
                                 "all_proxy",     "ALL_PROXY",    "no_proxy",       "NO_PROXY",
                                 "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH"};
  std::vector<char*> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::string_view name = text.substr(0, text.find('='));
    if (std::find(kNames.begin(), kNames.end(), name) != kNames.end()) {
      variables.push_back(*variable);
    }
  }
  variables.push_back(nullptr);
  return variables;
}

pid_t start(const std::vector<std::string>& command, int socket) {
  const std::vector<char*> variables = environment_of_transport();
  const pid_t pid = spawn({.command = command,
                           .environment = variables.data(),
                           .standard_input = socket,
                           .apart = Apart::session});
  if (pid < 0) throw base::system_error(errno, "start", command.front());
  return pid;
}

Error gone() {
  return Error(ErrorCode::unavailable, "the process that sends a chunk has ended");
}

}  // namespace

Courier::Courier(const std::vector<std::string>& command) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    throw base::system_error(errno, "create", "socket");
  }
  socket_ = FileDescriptor(ends[0]);
  const FileDescriptor theirs(ends[1]);
  pid_ = start(command, theirs.get());
}

Courier::~Courier() {
  if (pid_ <= 0) return;
  if (busy_) ::kill(pid_, SIGKILL);
  socket_.reset();
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

HttpResponse Courier::deliver(const HttpRequest& request, const Parcel& parcel,
                              const std::function<void(std::uint64_t)>& sent,
                              std::stop_token stop) {
  busy_ = true;
  // The lock goes with it: nobody takes up the upload before the chunk is done.
  if (!send_packet(socket_.get(), to_json(request, parcel),
                   {parcel.file, parcel.record.lock_fd()})) {
    throw gone();
  }
  for (;;) {
    if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "cancelled");
    ::pollfd ready{socket_.get(), POLLIN, 0};
    if (::poll(&ready, 1, kPollMilliseconds) <= 0) continue;
    const std::optional<Packet> packet = receive_packet(socket_.get());
    if (!packet) throw gone();
    const json& message = packet->message;
    if (message.contains("sent")) {
      if (sent) sent(message.at("sent"));
      continue;
    }
    busy_ = false;
    if (message.contains("error")) {
      Error error(static_cast<ErrorCode>(message.at("error").get<int>()), message.at("what"));
      if (const std::string hint = message.at("hint"); !hint.empty()) error.set_hint(hint);
      throw error;
    }
    HttpResponse response;
    response.status = message.at("status");
    response.headers = headers_from(message.at("headers"));
    response.body = message.at("body");
    return response;
  }
}

void run_courier(HttpTransport& http, int socket) {
  while (std::optional<Packet> packet = receive_packet(socket)) {
    const json answer = perform(http, *packet, socket);
    packet.reset();  // the lock is free when the answer is there
    if (!send_packet(socket, answer)) return;
  }
}

}  // namespace strake::registry

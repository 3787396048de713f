#include "registry/curl_transport.h"

#include <dlfcn.h>

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/proxy.h"
#include "registry/response_head.h"
#include "registry/transfer_pace.h"
#include "registry/url.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kIdleHandles = 16;
constexpr long kReceiveBufferBytes = 256 * 1024;
constexpr long kSendBufferBytes = 512 * 1024;
constexpr int kPaceCheckMilliseconds = 250;
/// Bodies up to this size are given to libcurl whole, which sends them in one piece with the
/// header: the server is woken once. (It does so for up to 64 KiB.)
constexpr std::uint64_t kWholeBodyBytes = 32 * 1024;

// clang-format off
/// The functions of libcurl that are used here, without their prefix.
#define STRAKE_CURL_FUNCTIONS(X) \
  X(global_init) X(share_init) X(share_setopt) X(share_cleanup) X(slist_append) X(slist_free_all) \
  X(easy_init) X(easy_cleanup) X(easy_reset) X(easy_setopt) X(easy_getinfo) X(easy_strerror) \
  X(multi_init) X(multi_cleanup) X(multi_add_handle) X(multi_remove_handle) X(multi_perform) \
  X(multi_poll) X(multi_wakeup) X(multi_info_read) X(multi_strerror)
// clang-format on

/// The library, with its functions as its header declares them.
class Curl {
 public:
  /// Loads the library at the first call. It stays: unloading TLS libraries is not safe.
  static const Curl& library() {
    static const Curl curl;
    return curl;
  }

#define STRAKE_MEMBER(name) decltype(&curl_##name) name = nullptr;
  STRAKE_CURL_FUNCTIONS(STRAKE_MEMBER)
#undef STRAKE_MEMBER

 private:
  Curl() {
    void* library = nullptr;
    // The OpenSSL flavour first; the GnuTLS one is what machines with git have.
    for (const char* name : {"libcurl.so.4", "libcurl-gnutls.so.4"}) {
      library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
      if (library != nullptr) break;
    }
    if (library == nullptr) {
      throw Error(ErrorCode::unsupported, "cannot speak to registries: libcurl is not installed")
          .hint("install the package libcurl4 (libcurl on Fedora and Alpine)");
    }
    const auto load = [&](auto& function, const char* name) {
      function =
          reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      if (function == nullptr) {
        throw Error(ErrorCode::unsupported,
                    std::string("libcurl is too old: it has no ") + name + " (7.68 is needed)");
      }
    };
#define STRAKE_LOAD(name) load(name, "curl_" #name);
    STRAKE_CURL_FUNCTIONS(STRAKE_LOAD)
#undef STRAKE_LOAD
    if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
      throw Error(ErrorCode::system, "cannot initialise libcurl");
    }
  }
};

/// DNS answers and TLS sessions, used by all handles.
class Share {
 public:
  Share() : share_(Curl::library().share_init()) {
    if (share_ == nullptr) throw std::bad_alloc();
    const Curl& curl = Curl::library();
    curl.share_setopt(share_, CURLSHOPT_USERDATA, this);
    curl.share_setopt(share_, CURLSHOPT_LOCKFUNC, &Share::lock);
    curl.share_setopt(share_, CURLSHOPT_UNLOCKFUNC, &Share::unlock);
    curl.share_setopt(share_, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    curl.share_setopt(share_, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  }
  ~Share() { Curl::library().share_cleanup(share_); }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

  CURLSH* get() const noexcept { return share_; }

 private:
  static void lock(CURL*, curl_lock_data data, curl_lock_access, void* self) {
    static_cast<Share*>(self)->mutexes_[data].lock();
  }
  static void unlock(CURL*, curl_lock_data data, void* self) {
    static_cast<Share*>(self)->mutexes_[data].unlock();
  }

  std::array<std::mutex, CURL_LOCK_DATA_LAST> mutexes_;
  CURLSH* share_;
};

/// Whom a connection leads to, and by which certificates: it is not used for anything else.
struct Peer {
  Origin origin;
  TlsOptions tls;
  bool operator==(const Peer&) const = default;
};

/// An easy handle in a multi handle of its own: the multi handle keeps the connections, and can be
/// woken from another thread, which makes cancelling immediate.
class Handle {
 public:
  Handle() : easy_(Curl::library().easy_init()), multi_(Curl::library().multi_init()) {
    if (easy_ == nullptr || multi_ == nullptr) {
      close();
      throw std::bad_alloc();
    }
  }
  Handle(Handle&& other) noexcept
      : peer(std::move(other.peer)),
        easy_(std::exchange(other.easy_, nullptr)),
        multi_(std::exchange(other.multi_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    close();
    peer = std::move(other.peer);
    easy_ = std::exchange(other.easy_, nullptr);
    multi_ = std::exchange(other.multi_, nullptr);
    return *this;
  }
  ~Handle() { close(); }

  CURL* easy() const noexcept { return easy_; }
  CURLM* multi() const noexcept { return multi_; }

  Peer peer;  // of its last request: a connection there may still be open

 private:
  void close() noexcept {
    if (easy_ != nullptr) Curl::library().easy_cleanup(easy_);
    if (multi_ != nullptr) Curl::library().multi_cleanup(multi_);
  }

  CURL* easy_;
  CURLM* multi_;
};

/// Sets options, remembering nothing: easy_reset() went before.
class Options {
 public:
  explicit Options(CURL* easy) : easy_(easy) {}

  /// Throws when the library refuses: most of these are promises about security.
  template <typename Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = Curl::library().easy_setopt(easy_, option, value);
    if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
    if (code != CURLE_OK) {
      throw Error(ErrorCode::unsupported, "libcurl refuses option " + std::to_string(option) +
                                              ": " + Curl::library().easy_strerror(code));
    }
  }
  /// For options that older libraries lack and that only tune or that they need not be told.
  template <typename Value>
  bool try_set(CURLoption option, Value value) {
    return Curl::library().easy_setopt(easy_, option, value) == CURLE_OK;
  }

 private:
  CURL* easy_;
};

struct FreeList {
  void operator()(curl_slist* list) const { Curl::library().slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

void append(HeaderList& list, const std::string& line) {
  curl_slist* longer = Curl::library().slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  (void)list.release();  // now owned through its head, `longer`
  list.reset(longer);
}

HeaderList header_list(const HttpRequest& request) {
  HeaderList list;
  for (const auto& [name, value] : request.headers) {
    // "name;" is libcurl's way to send a field without a value.
    append(list, value.empty() ? name + ";" : name + ": " + value);
  }
  // What libcurl would add by itself: a form's type to each POST, and a pause before each big body.
  if (!request.headers.find("Content-Type")) append(list, "Content-Type:");
  if (!request.headers.find("Accept")) append(list, "Accept:");
  append(list, "Expect:");
  return list;
}

std::optional<std::string> variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

/// libcurl's messages quote a proxy that it cannot use, even one that is no URL.
void redact_password(std::string_view proxy) {
  const std::size_t at = proxy.rfind('@');
  if (at == proxy.npos) return;
  const std::string_view user = proxy.substr(0, at);
  base::redact(std::string(user.substr(user.rfind(':') + 1)));
}

/// Without the query: it may hold a signature.
std::string shown(const HttpRequest& request) {
  return base::quoted(base::redacted(request.url.substr(0, request.url.find('?'))));
}

ErrorCode error_code(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_PROXY:
    case CURLE_UNSUPPORTED_PROTOCOL:  // the answer was not HTTP: URLs were checked before
      return ErrorCode::unavailable;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return ErrorCode::denied;
    case CURLE_NOT_BUILT_IN:
      return ErrorCode::unsupported;
    default:
      return ErrorCode::system;
  }
}

/// One request on its way through a handle.
class Transfer {
 public:
  Transfer(Handle& handle, const HttpRequest& request)
      : handle_(handle), request_(request), headers_(header_list(request)), head_(shown(request)) {}

  void configure(const CurlOptions& options, const Share& share);
  HttpResponse run(std::stop_token stop);
  /// Whether the handle's connections can be used again.
  bool reusable() const { return !cut_off_; }

 private:
  void configure_policy(Options& options);
  void configure_method(Options& options);
  const char* read_whole_body();
  std::size_t read_body(std::span<std::byte> room);
  void configure_tls(Options& options);
  CURLcode drive(std::stop_token stop);
  void on_header(std::string_view line);
  void on_body(std::span<const std::byte> bytes);
  void choose_sink();
  [[noreturn]] void fail(CURLcode code) const;
  Error no_answer(ErrorCode code, std::string_view reason) const;

  /// Runs `step` in a callback of libcurl, which exceptions must not cross: they are kept, and the
  /// transfer is given up.
  template <typename Step>
  bool guarded(Step step) noexcept {
    try {
      step();
      return true;
    } catch (...) {
      failure_ = std::current_exception();
      return false;
    }
  }

  static std::size_t header_callback(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t write_callback(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t read_callback(char* data, std::size_t size, std::size_t count, void* self);

  Handle& handle_;
  const HttpRequest& request_;
  HeaderList headers_;
  ResponseHead head_;
  HttpResponse response_;  // once routed
  bool routed_ = false;
  bool cut_off_ = false;  // what was not received of a collected body is not wanted
  base::ByteSink* sink_ = nullptr;
  std::uint64_t body_left_ = 0;
  std::string whole_body_;  // of a small one
  std::optional<TransferPace> pace_;
  std::exception_ptr failure_;
  std::array<char, CURL_ERROR_SIZE> message_{};
};

void Transfer::configure(const CurlOptions& curl_options, const Share& share) {
  Options options(handle_.easy());
  options.set(CURLOPT_URL, request_.url.c_str());
  options.set(CURLOPT_ERRORBUFFER, message_.data());
  options.set(CURLOPT_SHARE, share.get());
  options.set(CURLOPT_USERAGENT, curl_options.user_agent.c_str());
  options.set(CURLOPT_HTTPHEADER, headers_.get());

  configure_policy(options);
  options.set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(curl_options.connect_timeout.count()));
  options.set(CURLOPT_TCP_KEEPALIVE, 1L);
  options.try_set(CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  options.try_set(CURLOPT_UPLOAD_BUFFERSIZE, kSendBufferBytes);
  options.try_set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));

  options.set(CURLOPT_HEADERFUNCTION, &Transfer::header_callback);
  options.set(CURLOPT_HEADERDATA, this);
  options.set(CURLOPT_WRITEFUNCTION, &Transfer::write_callback);
  options.set(CURLOPT_WRITEDATA, this);
  configure_method(options);
  configure_tls(options);

  PaceLimits limits = curl_options.pace;
  limits.answer = request_.answer_timeout.value_or(limits.answer);
  pace_.emplace(limits, body_left_ > 0, Clock::now());
}

/// What libcurl could do by itself and must not: nothing here depends on its defaults.
void Transfer::configure_policy(Options& options) {
  options.set(CURLOPT_NOSIGNAL, 1L);
  options.set(CURLOPT_FOLLOWLOCATION, 0L);
  options.set(CURLOPT_UNRESTRICTED_AUTH, 0L);
  options.set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  options.set(CURLOPT_HTTP09_ALLOWED, 0L);
  options.set(CURLOPT_COOKIEFILE, nullptr);
  options.set(CURLOPT_ACCEPT_ENCODING, nullptr);  // digests are of the bytes as they are stored
  options.try_set(CURLOPT_HSTS_CTRL, 0L);         // built in or not, both are never used
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  if (!options.try_set(CURLOPT_PROTOCOLS_STR, "https,http")) {  // libcurl < 7.85
    options.set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
  }
  options.set(CURLOPT_REDIR_PROTOCOLS, 0L);  // none
#pragma GCC diagnostic pop
  options.set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);  // a proxy's answer is not the server's
  options.set(CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));  // ours are not a proxy's
  // Chosen here: libcurl reads fewer forms of NO_PROXY than Go's clients, and would read the
  // environment itself if it were not told.
  const std::string proxy = proxy_for(handle_.peer.origin, variable);
  redact_password(proxy);
  options.set(CURLOPT_PROXY, proxy.c_str());
  options.set(CURLOPT_NOPROXY, "");
}

void Transfer::configure_method(Options& options) {
  body_left_ = request_.body != nullptr ? request_.body_size : 0;
  const auto body_size = static_cast<curl_off_t>(body_left_);
  options.set(CURLOPT_READFUNCTION, &Transfer::read_callback);
  options.set(CURLOPT_READDATA, this);
  if (request_.method == "GET") {
    options.set(CURLOPT_HTTPGET, 1L);
  } else if (request_.method == "HEAD") {
    options.set(CURLOPT_NOBODY, 1L);
  } else if (request_.method == "POST") {
    options.set(CURLOPT_POST, 1L);
    options.set(CURLOPT_POSTFIELDSIZE_LARGE, body_size);
  } else {
    if (request_.body != nullptr && body_left_ > 0 && body_left_ <= kWholeBodyBytes) {
      options.set(CURLOPT_POSTFIELDSIZE_LARGE, body_size);
      options.set(CURLOPT_POSTFIELDS, read_whole_body());
    } else if (request_.body != nullptr || request_.method == "PUT") {
      options.set(CURLOPT_UPLOAD, 1L);
      options.set(CURLOPT_INFILESIZE_LARGE, body_size);
    }
    options.set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  }
}

const char* Transfer::read_whole_body() {
  whole_body_.resize(body_left_);
  for (std::span<std::byte> room = std::as_writable_bytes(std::span(whole_body_)); !room.empty();)
    room = room.subspan(read_body(room));
  return whole_body_.data();
}

/// At least one byte of the request's body. Precondition: there is room for one, and one is left.
std::size_t Transfer::read_body(std::span<std::byte> room) {
  const std::size_t count = request_.body->read(room);
  if (count == 0) {
    throw Error(ErrorCode::corrupt, "what is uploaded to " + shown(request_) + " ends " +
                                        std::to_string(body_left_) + " bytes early");
  }
  body_left_ -= count;
  return count;
}

void Transfer::configure_tls(Options& options) {
  const TlsOptions& tls = request_.tls;
  options.set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  options.set(CURLOPT_SSL_VERIFYPEER, tls.verify ? 1L : 0L);
  options.set(CURLOPT_SSL_VERIFYHOST, tls.verify ? 2L : 0L);
  if (!tls.ca_file.empty()) options.set(CURLOPT_CAINFO, tls.ca_file.c_str());
  if (!tls.cert_file.empty()) options.set(CURLOPT_SSLCERT, tls.cert_file.c_str());
  if (!tls.key_file.empty()) options.set(CURLOPT_SSLKEY, tls.key_file.c_str());
}

HttpResponse Transfer::run(std::stop_token stop) {
  const Curl& curl = Curl::library();
  if (curl.multi_add_handle(handle_.multi(), handle_.easy()) != CURLM_OK) throw std::bad_alloc();
  struct Detach {
    const Handle& handle;
    ~Detach() { Curl::library().multi_remove_handle(handle.multi(), handle.easy()); }
  };
  CURLcode code = CURLE_OK;
  {
    const Detach detach{handle_};
    code = drive(stop);
  }
  if (failure_) std::rethrow_exception(failure_);
  if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "cancelled");
  if (code != CURLE_OK && !cut_off_) fail(code);
  choose_sink();
  return std::move(response_);
}

CURLcode Transfer::drive(std::stop_token stop) {
  const Curl& curl = Curl::library();
  const std::stop_callback wake(stop, [&] { curl.multi_wakeup(handle_.multi()); });
  int running = 1;
  while (running > 0 && !stop.stop_requested()) {
    CURLMcode status = curl.multi_perform(handle_.multi(), &running);
    if (status == CURLM_OK && running > 0) {
      status = curl.multi_poll(handle_.multi(), nullptr, 0, kPaceCheckMilliseconds, nullptr);
    }
    if (const std::string problem = pace_->problem(Clock::now()); running > 0 && !problem.empty()) {
      throw no_answer(ErrorCode::unavailable, problem);
    }
    if (status != CURLM_OK) {
      throw Error(ErrorCode::system, std::string("libcurl failed: ") + curl.multi_strerror(status));
    }
  }
  int left = 0;
  while (const CURLMsg* message = curl.multi_info_read(handle_.multi(), &left)) {
    if (message->msg == CURLMSG_DONE) return message->data.result;
  }
  return CURLE_ABORTED_BY_CALLBACK;  // stopped
}

Error Transfer::no_answer(ErrorCode code, std::string_view reason) const {
  return Error(
      code, request_.method + " " + shown(request_) + " got no answer: " + base::redacted(reason));
}

void Transfer::fail(CURLcode code) const {
  // The memory it limits itself to, for one line of a header.
  if (code == CURLE_OUT_OF_MEMORY) throw no_answer(ErrorCode::corrupt, "a header line is too long");
  long proxy_status = 0;
  Curl::library().easy_getinfo(handle_.easy(), CURLINFO_HTTP_CONNECTCODE, &proxy_status);
  if (proxy_status == 407) {
    throw no_answer(ErrorCode::denied, "the proxy wants a user name and a password")
        .hint("put them into the proxy's URL: https_proxy=http://user:password@host:port");
  }
  const std::string_view reason =
      message_[0] != '\0' ? message_.data() : Curl::library().easy_strerror(code);
  Error error = no_answer(error_code(code), reason);
  if (code == CURLE_PEER_FAILED_VERIFICATION) {
    const Origin& origin = handle_.peer.origin;
    error.set_hint("if you trust this registry, put its CA certificate into /etc/docker/certs.d/" +
                   origin.str().substr(origin.scheme.size() + 3) + "/ca.crt");
  }
  throw error;
}

void Transfer::on_header(std::string_view line) {
  if (!routed_) head_.add_line(line);  // trailers say nothing that is used
}

void Transfer::choose_sink() {
  if (std::exchange(routed_, true)) return;
  response_ = head_.take();
  pace_->answered(Clock::now());
  if (request_.route) sink_ = request_.route(response_);
}

void Transfer::on_body(std::span<const std::byte> bytes) {
  choose_sink();
  pace_->moved(bytes.size());
  if (sink_ != nullptr) return sink_->write(bytes);
  const std::size_t room = kCollectedBodyBytes - response_.body.size();
  cut_off_ = bytes.size() > room;
  response_.body += base::text_of(bytes.first(std::min(bytes.size(), room)));
}

std::size_t Transfer::header_callback(char* data, std::size_t size, std::size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  return transfer.guarded([&] { transfer.on_header({data, size * count}); }) ? size * count : 0;
}

std::size_t Transfer::write_callback(char* data, std::size_t size, std::size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  const bool written =
      transfer.guarded([&] { transfer.on_body(std::as_bytes(std::span(data, size * count))); });
  // Anything but the size given stops the transfer, even for an empty chunk.
  return written && !transfer.cut_off_ ? size * count : size * count + 1;
}

std::size_t Transfer::read_callback(char* data, std::size_t size, std::size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  std::size_t filled = 0;
  const bool read = transfer.guarded([&] {
    if (transfer.body_left_ == 0) return;
    const std::size_t room = std::min<std::uint64_t>(size * count, transfer.body_left_);
    filled = transfer.read_body(std::as_writable_bytes(std::span(data, room)));
    transfer.pace_->moved(filled);
    if (transfer.body_left_ == 0) transfer.pace_->sent(Clock::now());
  });
  return read ? filled : CURL_READFUNC_ABORT;
}

}  // namespace

class CurlTransport::Pool {
 public:
  explicit Pool(CurlOptions options) : options_(std::move(options)) {}

  HttpResponse perform(const HttpRequest& request, std::stop_token stop) {
    Handle handle = take({parse_url(request.url).origin, request.tls});
    HttpResponse response;
    bool reusable = false;
    {
      Transfer transfer(handle, request);
      transfer.configure(options_, share_);
      response = transfer.run(std::move(stop));
      reusable = transfer.reusable();
    }
    // Not after an error: its connections may be in any state.
    if (reusable) give_back(std::move(handle));
    return response;
  }

 private:
  Handle take(Peer peer) {
    const std::lock_guard lock(mutex_);
    const auto best = std::find_if(idle_.rbegin(), idle_.rend(),
                                   [&](const Handle& idle) { return idle.peer == peer; });
    if (best == idle_.rend()) {
      Handle fresh;
      fresh.peer = std::move(peer);
      return fresh;
    }
    Handle handle = std::move(*best);
    idle_.erase(std::next(best).base());
    return handle;
  }

  void give_back(Handle handle) {
    Curl::library().easy_reset(handle.easy());  // drops all pointers to the request
    const std::lock_guard lock(mutex_);
    if (idle_.size() >= kIdleHandles) idle_.erase(idle_.begin());
    idle_.push_back(std::move(handle));
  }

  const CurlOptions options_;
  const Share share_;
  std::mutex mutex_;
  std::vector<Handle> idle_;  // declared after share_: closed before it
};

CurlTransport::CurlTransport(CurlOptions options) : options_(std::move(options)) {}
CurlTransport::~CurlTransport() = default;

CurlTransport::Pool& CurlTransport::pool() {
  const std::lock_guard lock(mutex_);
  if (!pool_) pool_ = std::make_unique<Pool>(options_);
  return *pool_;
}

HttpResponse CurlTransport::perform(const HttpRequest& request, std::stop_token stop) {
  return pool().perform(request, std::move(stop));
}

void CurlTransport::prepare() noexcept {
  try {
    pool();
  } catch (const std::exception&) {
    // perform() throws it again
  }
}

}  // namespace strake::registry

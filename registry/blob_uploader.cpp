#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <set>
#include <thread>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/base/trace.h"
#include "registry/transfer.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

/// Mounts that are tried before a blob is uploaded: each costs a round trip, most first ones work.
constexpr std::size_t kMountAttempts = 3;

/// Blobs that are uploaded while they are made, at once: the others of a client's streams are for
/// what is finished.
constexpr std::size_t kStreamsAtOnce = 3;

/// New blobs up to this size are sent without asking first: it takes about as long.
constexpr std::uint64_t kSmallBytes = 256 << 10;

/// Registries forget uploads that nothing comes of, some within minutes.
constexpr std::chrono::minutes kSpareLife{1};

/// Reports how much of a blob was read, at most once in each kStepBytes.
class ReportingSource final : public base::ByteSource {
 public:
  /// `from` begins at `offset`.
  ReportingSource(std::unique_ptr<base::ByteSource> from, std::uint64_t offset,
                  std::function<void(std::uint64_t)> report)
      : from_(std::move(from)), report_(std::move(report)), done_(offset), reported_(offset) {
    report_(offset);
  }

  std::size_t read(std::span<std::byte> buffer) override {
    const std::size_t count = from_->read(buffer);
    done_ += count;
    if (done_ >= reported_ + kStepBytes) {
      reported_ = done_;
      report_(done_);
    }
    return count;
  }

 private:
  static constexpr std::uint64_t kStepBytes = 256 * 1024;
  std::unique_ptr<base::ByteSource> from_;
  std::function<void(std::uint64_t)> report_;
  std::uint64_t done_, reported_;
};

/// An upload that was opened to see whether that is allowed, for the first blob that needs one.
struct Spare {
  enum class State { none, opening, open, taken };
  State state = State::none;
  UploadSession session;
  std::chrono::steady_clock::time_point opened_at;
};

/// A blob that is uploaded while it is made.
struct Stream {
  enum class Outcome { running, there, given_up };

  explicit Stream(std::shared_ptr<const base::GrowingFile> a_blob) : blob(std::move(a_blob)) {}

  const std::shared_ptr<const base::GrowingFile> blob;
  Outcome outcome = Outcome::running;
  std::optional<BlobUpload> finished;  // enqueued: waits for the outcome
};

}  // namespace

struct BlobUploader::State {
  State(Client& a_client, oci::Repository a_repository, TransferOptions an_options)
      : client(a_client), repository(std::move(a_repository)), options(std::move(an_options)) {}

  void check_permission(std::stop_token stop_asking);
  std::optional<UploadSession> take_spare();
  void work();
  void start_thread();
  void start_stream(std::shared_ptr<const base::GrowingFile> blob);
  void add(BlobUpload upload);
  void run_stream(Stream& stream);
  bool await_stream(BlobUpload& upload);
  void push(const BlobUpload& upload, bool upload_anyway);
  std::optional<TransferState> look(const BlobUpload& upload,
                                    std::optional<UploadSession>& session);
  void keep_unsent(const BlobUpload& upload, TransferState state);
  std::vector<oci::Repository> mount_sources(const BlobUpload& upload) const;
  bool mount(const BlobUpload& upload, const oci::Repository& from,
             std::optional<UploadSession>& session);
  void report(const oci::Descriptor& blob, TransferState state, std::uint64_t bytes_done) const {
    if (options.progress) options.progress({blob, state, bytes_done});
  }

  Client& client;
  const oci::Repository repository;
  const TransferOptions options;
  std::stop_source stop;

  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::deque<BlobUpload> queue;
  std::set<base::Digest> seen, done;
  Spare spare;
  std::vector<BlobUpload> unsent;  // the registry has them, it says
  bool upload_all = false;         // whatever it says
  std::size_t unfinished = 0;
  std::size_t idle = 0;
  bool closing = false;
  std::exception_ptr error;
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<std::jthread> threads, stream_threads;  // joined before anything they use goes

  // Whoever stops the build stops the uploads.
  std::stop_callback<std::function<void()>> outer{options.stop, [this] { stop.request_stop(); }};
};

void BlobUploader::State::work() {
  base::name_trace_thread("upload");
  std::unique_lock lock(mutex);
  for (;;) {
    ++idle;
    changed.wait(lock, [&] { return closing || !queue.empty(); });
    --idle;
    if (closing) return;
    const BlobUpload upload = std::move(queue.front());
    queue.pop_front();
    const bool wanted = !error;
    const bool upload_anyway = upload_all;
    lock.unlock();
    std::exception_ptr failure;
    try {
      if (wanted) push(upload, upload_anyway);
    } catch (...) {  // the thread's edge: wait_all() throws it
      failure = std::current_exception();
    }
    lock.lock();
    if (failure && !error) {
      // Before the others are stopped: what they die of then is not the reason.
      error = failure;
      lock.unlock();
      stop.request_stop();
      lock.lock();
    }
    --unfinished;
    done.insert(upload.blob.digest);
    changed.notify_all();
  }
}

void BlobUploader::State::check_permission(std::stop_token stop_asking) {
  const auto become = [&](Spare now) {
    const std::lock_guard lock(mutex);
    spare = std::move(now);
    changed.notify_all();
  };
  become({Spare::State::opening, {}, {}});
  try {
    UploadSession session = client.check_push_permission(repository, std::move(stop_asking));
    become({Spare::State::open, std::move(session), std::chrono::steady_clock::now()});
  } catch (...) {
    become({});
    throw;
  }
}

/// The upload that check_permission() opens, for whoever asks first.
std::optional<UploadSession> BlobUploader::State::take_spare() {
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return closing || spare.state != Spare::State::opening; });
  const auto age = std::chrono::steady_clock::now() - spare.opened_at;
  if (spare.state != Spare::State::open || age > kSpareLife) return std::nullopt;
  spare.state = Spare::State::taken;
  return std::move(spare.session);
}

void BlobUploader::State::push(const BlobUpload& upload, bool upload_anyway) {
  const oci::Descriptor& blob = upload.blob;
  const base::TraceSpan span("upload", blob.digest.hex().substr(0, 12));
  try {
    std::optional<UploadSession> session;
    const bool unknown = upload.is_new && blob.size <= kSmallBytes && mount_sources(upload).empty();
    if (!upload_anyway && !unknown) {
      if (const auto state = look(upload, session)) return keep_unsent(upload, *state);
    }
    if (!session) session = take_spare();
    const BlobOpener open = [&](std::uint64_t offset) {
      return std::make_unique<ReportingSource>(
          upload.open(offset), offset,
          [&](std::uint64_t bytes_done) { report(blob, TransferState::uploading, bytes_done); });
    };
    const auto sent = [&](std::uint64_t bytes_done) {
      report(blob, TransferState::uploading, bytes_done);
    };
    client.put_blob(repository, blob, BlobBytes{open, upload.open_file, sent}, std::move(session),
                    stop.get_token());
    report(blob, TransferState::done, blob.size);
  } catch (Error& e) {
    e.add_context("pushing blob " + blob.digest.str() + " to " + repository.str());
    throw;
  }
}

void BlobUploader::State::keep_unsent(const BlobUpload& upload, TransferState state) {
  {
    const std::lock_guard lock(mutex);
    unsent.push_back(upload);
  }
  report(upload.blob, state, upload.blob.size);
}

/// How the registry has the blob without being sent it; nullopt if it has to be uploaded, into
/// `session` if one was opened.
std::optional<TransferState> BlobUploader::State::look(const BlobUpload& upload,
                                                       std::optional<UploadSession>& session) {
  std::vector<oci::Repository> sources = mount_sources(upload);
  const bool known_here =
      std::ranges::find(upload.mount_from, repository) != upload.mount_from.end();
  if (!known_here && !sources.empty()) {
    if (mount(upload, sources.front(), session)) return TransferState::mounted;
    sources.erase(sources.begin());
  }
  if (client.has_blob(repository, upload.blob.digest, stop.get_token())) {
    if (session) client.cancel_upload(repository, *session, stop.get_token());
    return TransferState::exists;
  }
  for (const oci::Repository& from : sources)
    if (mount(upload, from, session)) return TransferState::mounted;
  return std::nullopt;
}

std::vector<oci::Repository> BlobUploader::State::mount_sources(const BlobUpload& upload) const {
  std::vector<oci::Repository> sources;
  for (const oci::Repository& from : upload.mount_from) {
    if (sources.size() == kMountAttempts) break;
    if (from.host == repository.host && from.path != repository.path) sources.push_back(from);
  }
  return sources;
}

bool BlobUploader::State::mount(const BlobUpload& upload, const oci::Repository& from,
                                std::optional<UploadSession>& session) {
  MountResult result;
  try {
    result = client.mount_blob(repository, from, upload.blob.digest, stop.get_token());
  } catch (const Error& e) {
    // A token server may refuse the pair of repositories, though not an upload.
    if (e.code() != ErrorCode::denied && e.code() != ErrorCode::not_found) throw;
  }
  if (result.session) session = std::move(result.session);
  return result.mounted;
}

BlobUploader::BlobUploader(Client& client, oci::Repository to, TransferOptions options)
    : state_(std::make_shared<State>(client, std::move(to), std::move(options))) {}

BlobUploader::~BlobUploader() {
  state_->stop.request_stop();
  {
    const std::lock_guard lock(state_->mutex);
    state_->closing = true;
  }
  state_->changed.notify_all();
  state_->threads.clear();  // joins
  state_->stream_threads.clear();
  if (state_->spare.state == Spare::State::open)
    state_->client.cancel_upload(state_->repository, state_->spare.session);
}

const oci::Repository& BlobUploader::repository() const noexcept {
  return state_->repository;
}

void BlobUploader::check_permission(std::stop_token stop) {
  state_->check_permission(std::move(stop));
}

void BlobUploader::enqueue(BlobUpload upload) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (state.error || !state.seen.insert(upload.blob.digest).second) return;
  if (!state.await_stream(upload)) state.add(std::move(upload));
}

/// Queues it. The mutex is held, as in what follows.
void BlobUploader::State::add(BlobUpload upload) {
  queue.push_back(std::move(upload));
  ++unfinished;
  start_thread();
}

/// One more if there is more to do than the others can, and wakes them.
void BlobUploader::State::start_thread() {
  const auto limit = static_cast<std::size_t>(std::max(options.parallel, 1));
  if (idle < queue.size() && threads.size() < limit) threads.emplace_back([this] { work(); });
  changed.notify_all();
}

void BlobUploader::stream(std::shared_ptr<const base::GrowingFile> blob) {
  // Most never grow so large.
  const std::uint64_t too_small = state_->client.sizes().streamed_bytes - 1;
  blob->when_beyond(too_small, [state = std::weak_ptr(state_), growing = std::weak_ptr(blob)] {
    const auto uploader = state.lock();
    auto file = growing.lock();
    if (uploader && file) uploader->start_stream(std::move(file));
  });
}

void BlobUploader::State::start_stream(std::shared_ptr<const base::GrowingFile> blob) {
  const std::lock_guard lock(mutex);
  const auto running = std::ranges::count_if(
      streams, [](const auto& stream) { return stream->outcome == Stream::Outcome::running; });
  if (closing || error || static_cast<std::size_t>(running) >= kStreamsAtOnce) return;
  streams.push_back(std::make_unique<Stream>(std::move(blob)));
  stream_threads.emplace_back([this, stream = streams.back().get()] { run_stream(*stream); });
}

void BlobUploader::State::run_stream(Stream& stream) {
  base::name_trace_thread("upload");
  const base::TraceSpan span("upload while it is made");
  bool there = false;
  try {
    there = client.stream_blob(repository, *stream.blob, {}, stop.get_token());
  } catch (const Error& e) {
    base::log_debug(std::string("a streamed upload ended: ") + e.what());
  }
  const std::lock_guard lock(mutex);
  stream.outcome = there ? Stream::Outcome::there : Stream::Outcome::given_up;
  if (!stream.finished) return;
  --unfinished;
  if (!await_stream(*stream.finished)) add(*std::move(stream.finished));
  changed.notify_all();
}

/// Whether a stream brings the blob to the registry, or has. If it does not in the end, the blob is
/// queued.
bool BlobUploader::State::await_stream(BlobUpload& upload) {
  const auto found = std::find_if(streams.begin(), streams.end(), [&](const auto& stream) {
    return stream->outcome != Stream::Outcome::given_up &&
           stream->blob->progress().digest == upload.blob.digest;
  });
  if (found == streams.end()) return false;
  if ((*found)->outcome == Stream::Outcome::running) {
    ++unfinished;
    (*found)->finished = std::move(upload);
  } else {
    report(upload.blob, TransferState::done, upload.blob.size);
    done.insert(upload.blob.digest);
  }
  return true;
}

void BlobUploader::upload_unsent() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->upload_all = true;
    for (BlobUpload& upload : std::exchange(state_->unsent, {})) state_->add(std::move(upload));
  }
  wait_all();
}

void BlobUploader::wait_all() {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  state.changed.wait(lock, [&] { return state.unfinished == 0; });
  if (state.error) std::rethrow_exception(state.error);
}

void BlobUploader::wait_for(std::span<const base::Digest> blobs) {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  state.changed.wait(lock, [&] {
    return state.unfinished == 0 ||
           std::ranges::all_of(blobs, [&](const auto& blob) { return state.done.contains(blob); });
  });
  if (state.error) std::rethrow_exception(state.error);
}

}  // namespace strake::registry

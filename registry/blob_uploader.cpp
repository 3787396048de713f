#include <algorithm>
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

  void work();
  void start_thread();
  void add(BlobUpload upload);
  void run_stream(Stream& stream);
  bool await_stream(BlobUpload& upload);
  void push(const BlobUpload& upload, bool upload_anyway);
  void keep_unsent(const BlobUpload& upload, TransferState state);
  bool mount(const BlobUpload& upload, std::optional<UploadSession>& session);
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
  std::set<base::Digest> seen;
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
    changed.notify_all();
  }
}

void BlobUploader::State::push(const BlobUpload& upload, bool upload_anyway) {
  const oci::Descriptor& blob = upload.blob;
  const base::TraceSpan span("upload", blob.digest.hex().substr(0, 12));
  try {
    if (!upload_anyway && client.has_blob(repository, blob.digest, stop.get_token())) {
      return keep_unsent(upload, TransferState::exists);
    }
    std::optional<UploadSession> session;
    if (!upload_anyway && mount(upload, session)) {
      return keep_unsent(upload, TransferState::mounted);
    }
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

/// False if the blob has to be uploaded, into `session` if one was opened.
bool BlobUploader::State::mount(const BlobUpload& upload, std::optional<UploadSession>& session) {
  std::size_t attempts = 0;
  for (const oci::Repository& from : upload.mount_from) {
    if (from.host != repository.host || from.path == repository.path) continue;
    if (attempts++ == kMountAttempts) break;
    MountResult result;
    try {
      result = client.mount_blob(repository, from, upload.blob.digest, stop.get_token());
    } catch (const Error& e) {
      // A token server may refuse the pair of repositories, though not an upload.
      if (e.code() != ErrorCode::denied && e.code() != ErrorCode::not_found) throw;
    }
    if (result.mounted) return true;
    if (result.session) session = std::move(result.session);
  }
  return false;
}

BlobUploader::BlobUploader(Client& client, oci::Repository to, TransferOptions options)
    : state_(std::make_unique<State>(client, std::move(to), std::move(options))) {}

BlobUploader::~BlobUploader() {
  state_->stop.request_stop();
  {
    const std::lock_guard lock(state_->mutex);
    state_->closing = true;
  }
  state_->changed.notify_all();
  state_->threads.clear();  // joins
}

const oci::Repository& BlobUploader::repository() const noexcept {
  return state_->repository;
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
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  const auto running =
      std::count_if(state.streams.begin(), state.streams.end(),
                    [](const auto& stream) { return stream->outcome == Stream::Outcome::running; });
  if (state.error || static_cast<std::size_t>(running) >= kStreamsAtOnce) return;
  state.streams.push_back(std::make_unique<Stream>(std::move(blob)));
  state.stream_threads.emplace_back(
      [&state, stream = state.streams.back().get()] { state.run_stream(*stream); });
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

}  // namespace strake::registry

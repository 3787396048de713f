#include "builder/exec/selection_walk.h"

#include <fcntl.h>

#include <cerrno>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>

#include "builder/exec/layer_paths.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/rooted_directory.h"
#include "layers/base/worker_pool.h"

namespace strake::builder {
namespace {

/// With fewer directories waiting than this, a second thread would cost more than it saves.
constexpr std::size_t kWorthAThread = 4;
/// What an arena begins with.
constexpr std::size_t kArenaBytes = 32 << 10;

using Arena = SelectedEntries::Arena;

/// A directory of the walk and what was found in it.
struct Listing {
  std::string_view source_path;
  SelectedEntry* itself = nullptr;  // in the entries of the directory above; null at the top
  std::optional<SelectedEntries::Block> entries;  // in order; none before the directory was read
  std::vector<std::unique_ptr<Listing>> directories;  // of the directories in `entries`, in order
};

class Walk {
 public:
  Walk(const CopySource& source, const std::string& top,
       const std::function<Keep(const SelectedEntry&)>& keep)
      : source_(source), top_(top), below_top_(top.empty() ? 0 : top.size() + 1), keep_(keep) {}

  void run(SelectedEntries& to) {
    Listing root{.source_path = top_};
    waiting_.push_back(&root);
    unfinished_ = 1;
    {
      std::unique_lock lock(mutex_);
      work(lock);
      // Whoever is still at a directory may find more of them.
      while (unfinished_ > 0 || helpers_ > 0) {
        changed_.wait(lock);
        work(lock);
      }
    }
    if (error_) std::rethrow_exception(error_);
    to.reserve(to.size() + found_);
    for (std::unique_ptr<Arena>& arena : arenas_) to.own(std::move(arena));
    flatten(root, to);
  }

 private:
  /// Takes directories until none is waiting. What is found lies in an arena of the thread's own.
  void work(std::unique_lock<std::mutex>& lock) {
    if (waiting_.empty()) return;
    Arena& arena = *arenas_.emplace_back(std::make_unique<Arena>(kArenaBytes));
    while (!waiting_.empty()) {
      Listing* const listing = waiting_.back();
      waiting_.pop_back();
      if (!error_) {
        lock.unlock();
        std::exception_ptr error;
        try {
          list(*listing, arena);
        } catch (...) {  // carried to run(), which throws it again
          error = std::current_exception();
        }
        lock.lock();
        if (error && !error_) error_ = error;
        if (listing->entries) found_ += listing->entries->size();
        for (const auto& directory : listing->directories) waiting_.push_back(directory.get());
        unfinished_ += listing->directories.size();
        if (!listing->directories.empty()) changed_.notify_all();
        call_helpers();
      }
      if (--unfinished_ == 0) changed_.notify_all();
    }
  }

  void call_helpers() {
    base::WorkerPool& pool = base::WorkerPool::shared();
    while (helpers_ + 1 < pool.size() && waiting_.size() >= kWorthAThread * (helpers_ + 1)) {
      ++helpers_;
      pool.submit([this] {
        std::unique_lock lock(mutex_);
        work(lock);
        --helpers_;
        changed_.notify_all();
      });
    }
  }

  void list(Listing& listing, Arena& arena) const {
    const std::string_view source_path = listing.source_path;
    const base::FileDescriptor directory =
        source_.root.open(source_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    const std::vector<std::string> names =
        base::list_directory(directory.get(), source_path.empty() ? "." : source_path);
    if (listing.itself != nullptr && source_.root.owners() == base::Owners::real)
      listing.itself->set_xattrs(base::xattrs_of(directory.get(), source_path));
    SelectedEntries::Block& entries = listing.entries.emplace(&arena);
    entries.reserve(names.size());
    for (const std::string& name : names) {
      SelectedEntry& entry = entries.emplace_back();
      entry.source_path = join_path(source_path, name, arena);
      entry.path = entry.source_path.substr(below_top_);
      if (!look_at(directory.get(), name, entry)) entries.pop_back();
    }
    for (SelectedEntry& entry : entries)
      if (entry.status.is_directory())
        listing.directories.push_back(
            std::make_unique<Listing>(Listing{entry.source_path, &entry}));
  }

  /// False if there is nothing to select.
  bool look_at(int directory, const std::string& name, SelectedEntry& entry) const {
    struct ::stat status;
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return false;  // gone since the directory was listed
      throw base::system_error(errno, "read", entry.source_path);
    }
    if (S_ISSOCK(status.st_mode)) return false;
    entry.status = FileStatus(status);
    if (keep_) {
      const Keep keep = keep_(entry);
      if (keep == Keep::nothing) return false;
      entry.only_as_parent = keep == Keep::only_as_parent;
    }
    if (entry.status.is_symlink()) entry.set_link_target(source_.root.read_link(entry.source_path));
    if (source_.root.owners() == base::Owners::recorded) {
      if (const auto recorded = source_.root.lstat(entry.source_path))
        entry.status = FileStatus(*recorded);
      entry.set_xattrs(source_.root.xattrs(entry.source_path));
      return true;
    }
    if (entry.status.is_directory()) return true;  // asked for when it is open
    if (entry.status.is_file() && entry.recall_content(source_.memo)) return true;
    entry.set_xattrs(base::xattrs_at(directory, name.c_str(), entry.source_path));
    return true;
  }

  static void flatten(Listing& root, SelectedEntries& all) {
    struct Place {
      Listing* listing;
      std::size_t entry = 0, directory = 0;
    };
    std::vector<Place> places = {{&root}};
    while (!places.empty()) {
      Place& place = places.back();
      if (place.entry == place.listing->entries->size()) {
        all.own(std::move(*place.listing->entries));
        places.pop_back();
        continue;
      }
      SelectedEntry& entry = (*place.listing->entries)[place.entry++];
      all.append(entry);
      if (entry.status.is_directory())
        places.push_back({place.listing->directories[place.directory++].get()});
    }
  }

  const CopySource& source_;
  const std::string& top_;
  const std::size_t below_top_;  // where SelectedEntry::path begins in its source_path
  const std::function<Keep(const SelectedEntry&)>& keep_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Arena>> arenas_;
  std::vector<Listing*> waiting_;
  std::size_t unfinished_ = 0;  // directories waiting, or being looked at
  std::size_t helpers_ = 0;     // jobs of the pool
  std::size_t found_ = 0;
  std::exception_ptr error_;
};

}  // namespace

void walk_selection(const CopySource& source, const std::string& top,
                    const std::function<Keep(const SelectedEntry&)>& keep, SelectedEntries& to) {
  Walk(source, top, keep).run(to);
}

}  // namespace strake::builder

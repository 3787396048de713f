#include "builder/cli/commands/shown_transfer.h"

namespace strake::cli {

void show_transfer(builder::Progress& progress, const std::string& title, std::stop_token stop,
                   const std::function<void(const builder::CopyOptions&)>& work) {
  builder::ShownTask task(progress, {"", "", title});
  builder::CopyOptions options;
  options.stop = std::move(stop);
  options.progress = [&](const registry::TransferProgress& transfer) {
    const bool done = transfer.state != registry::TransferState::uploading;
    progress.bytes(task.id(), transfer.blob.digest.str().substr(0, 19),
                   done ? transfer.blob.size : transfer.bytes_done, transfer.blob.size);
  };
  try {
    work(options);
    task.set(builder::Outcome::done);
  } catch (const base::Error& error) {
    task.set(error);
    throw;
  }
}

void show_transfer(Session& session, bool quiet, const std::string& title,
                   const std::function<void(const builder::CopyOptions&)>& work) {
  const std::unique_ptr<Display> display = session.make_display(quiet);
  const LogThroughDisplay logs(*display);
  show_transfer(*display, title, session.stop(), work);
  display->close();
}

}  // namespace strake::cli

#pragma once

#include <functional>
#include <string>

#include "builder/cli/session.h"
#include "builder/exec/shown_task.h"
#include "builder/images/copy_image.h"

namespace strake::cli {

/// Runs `work` as one task on `progress`, with its transfers shown.
void show_transfer(builder::Progress& progress, const std::string& title, std::stop_token stop,
                   const std::function<void(const builder::CopyOptions&)>& work);

/// The same with a display of its own, for what needs no store.
void show_transfer(Session& session, bool quiet, const std::string& title,
                   const std::function<void(const builder::CopyOptions&)>& work);

}  // namespace strake::cli

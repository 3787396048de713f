#pragma once

#include "builder/check/reporter.h"
#include "builder/check/stage_facts.h"

// strake's own rules. Each function looks at one stage; the stages below it were looked at before.

namespace strake::check {

void check_base_image(const StageFacts& stage, Reporter& reporter);
void check_packages(const StageFacts& stage, Reporter& reporter);
void check_shell_commands(const StageFacts& stage, Reporter& reporter);
void check_layers(const StageFacts& stage, Reporter& reporter);
void check_secrets(const StageFacts& stage, Reporter& reporter);
void check_entrypoint(const StageFacts& stage, Reporter& reporter);

}  // namespace strake::check

#include <array>

#include "builder/check/rule_tables.h"

// Names and descriptions are docker's, to the letter. The explanations are ours.

namespace strake::check {

std::span<const Rule> docker_rules() {
  static constexpr auto kRules = std::to_array<Rule>({
      {.name = "StageNameCasing",
       .description = "Stage names should be lowercase",
       .explanation = "Names of stages are compared without regard to case, so capitals only make "
                      "them look different where they are used.",
       .bad = "FROM alpine:3.20 AS BuilderBase",
       .good = "FROM alpine:3.20 AS builder-base"},
      {.name = "FromAsCasing",
       .description = "The 'as' keyword should match the case of the 'from' keyword",
       .explanation = "Both words belong to one instruction; mixed casing makes it hard to read.",
       .bad = "FROM debian:12 as builder",
       .good = "FROM debian:12 AS builder"},
      {.name = "NoEmptyContinuation",
       .description = "Empty continuation lines will become errors in a future release",
       .explanation = "An empty line does not end an instruction whose line before ends in \"\\\". "
                      "What looks like the next instruction may still be part of this one.",
       .bad = "RUN apk add \\\n\n    gnupg",
       .good = "RUN apk add \\\n    # for signatures\n    gnupg"},
      {.name = "ConsistentInstructionCasing",
       .description = "All commands within the Dockerfile should use the same casing (either upper "
                      "or lower)",
       .explanation = "Instructions may be written either way, but in one file in one way. The way "
                      "most instructions are written is taken as the one that is meant.",
       .bad = "FROM alpine:3.20\nrun true\nCMD [\"top\"]",
       .good = "FROM alpine:3.20\nRUN true\nCMD [\"top\"]"},
      {.name = "DuplicateStageName",
       .description = "Stage names should be unique",
       .explanation = "With two stages of one name, --from and --target mean the last one before "
                      "the place of their use, which is easily the wrong one.",
       .bad = "FROM debian:12 AS build\nFROM golang:1.24 AS build",
       .good = "FROM debian:12 AS deb-build\nFROM golang:1.24 AS go-build"},
      {.name = "ReservedStageName",
       .description = "Reserved words should not be used as stage names",
       .explanation =
           "\"scratch\" is the empty image and \"context\" the build context. A stage of "
           "that name hides them, or is hidden by them.",
       .bad = "FROM alpine:3.20 AS scratch",
       .good = "FROM alpine:3.20 AS base"},
      {.name = "JSONArgsRecommended",
       .description =
           "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior "
           "related to OS signals",
       .explanation =
           "The shell form runs the program below \"/bin/sh -c\". Signals such as the "
           "SIGTERM of a stop go to the shell, which does not pass them on: the container "
           "is killed after a time-out. With a SHELL instruction the choice is taken as "
           "deliberate.",
       .bad = "ENTRYPOINT my-program start",
       .good = "ENTRYPOINT [\"my-program\", \"start\"]"},
      {.name = "MaintainerDeprecated",
       .description = "The MAINTAINER instruction is deprecated, use a label instead to define an "
                      "image author",
       .explanation = "A label can be seen with inspect, changed later and found by tools.",
       .bad = "MAINTAINER ana@example.com",
       .good = "LABEL org.opencontainers.image.authors=\"ana@example.com\""},
      {.name = "UndefinedArgInFrom",
       .description = "FROM command must use declared ARGs",
       .explanation =
           "FROM sees the ARGs before the first FROM and those of the platforms, nothing "
           "else. An unknown one is empty.",
       .bad = "FROM node:22${VARIANT}",
       .good = "ARG VARIANT=-slim\nFROM node:22${VARIANT}"},
      {.name = "WorkdirRelativePath",
       .description = "Relative workdir without an absolute workdir declared within the build can "
                      "have unexpected results if the base image changes",
       .explanation = "The first relative WORKDIR starts at the working directory of the base "
                      "image, which may be another one tomorrow.",
       .bad = "FROM nginx:1.27\nWORKDIR usr/share/nginx/html",
       .good = "FROM nginx:1.27\nWORKDIR /usr/share/nginx/html"},
      {.name = "UndefinedVar",
       .description = "Variables should be defined before their use",
       .explanation =
           "A variable that neither ARG nor ENV defines is empty. Variables that only the "
           "base image defines are known to a build, but not to a check, which does not "
           "fetch it: declare them with ARG to be sure of them.",
       .bad = "FROM alpine:3.20\nCOPY $source .",
       .good = "FROM alpine:3.20\nARG source\nCOPY $source ."},
      {.name = "MultipleInstructionsDisallowed",
       .description = "Multiple instructions of the same type should not be used in the same stage",
       .explanation = "Of several CMD, ENTRYPOINT or HEALTHCHECK in a stage only the last has an "
                      "effect; the others are probably left over.",
       .bad = "ENTRYPOINT [\"echo\", \"Norway\"]\nENTRYPOINT [\"echo\", \"Sweden\"]",
       .good = "ENTRYPOINT [\"echo\", \"Norway and Sweden\"]"},
      {.name = "LegacyKeyValueFormat",
       .description = "Legacy key/value format with whitespace separator should not be used",
       .explanation = "Without \"=\" the whole rest of the line is the value, so a second pair "
                      "silently becomes part of the first.",
       .bad = "ENV DIR /srv",
       .good = "ENV DIR=/srv"},
      {.name = "InvalidBaseImagePlatform",
       .description = "Base image platform does not match expected target platform",
       .explanation = "An image for one platform only was pulled for another one. Its programs run "
                      "under emulation, or not at all. Only a build can tell, which fetches the "
                      "image.",
       .bad = "# strake build --platform linux/arm64 .\nFROM example.com/only-amd64:1",
       .good = "# strake build --platform linux/amd64 .\nFROM example.com/only-amd64:1"},
      {.name = "RedundantTargetPlatform",
       .description = "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this "
                      "is the default behavior",
       .explanation = "A stage is built for the target platform unless it says otherwise.",
       .bad = "FROM --platform=$TARGETPLATFORM alpine:3.20",
       .good = "FROM alpine:3.20"},
      {.name = "SecretsUsedInArgOrEnv",
       .description = "Sensitive data should not be used in the ARG or ENV commands",
       .explanation = "Values of ARG and ENV stay in the image's history and configuration, where "
                      "everyone who has the image reads them. A secret mount is there for one RUN "
                      "only.",
       .bad = "ARG AWS_SECRET_ACCESS_KEY\nRUN aws s3 cp s3://bucket/file .",
       .good = "RUN --mount=type=secret,id=aws,target=/root/.aws/credentials \\\n"
               "    aws s3 cp s3://bucket/file ."},
      {.name = "InvalidDefaultArgInFrom",
       .description = "Default value for global ARG results in an empty or invalid base image name",
       .explanation = "The Dockerfile cannot be built without a --build-arg. A default makes it "
                      "buildable by everyone, and by tools that know no arguments.",
       .bad = "ARG TAG\nFROM busybox:${TAG}",
       .good = "ARG TAG=1.37\nFROM busybox:${TAG}"},
      {.name = "FromPlatformFlagConstDisallowed",
       .description = "FROM --platform flag should not use a constant value",
       .explanation = "A constant makes the image one for that platform, whichever --platform a "
                      "build is given. A stage that is for one platform says so in its name.",
       .bad = "FROM --platform=linux/amd64 alpine:3.20 AS base",
       .good = "FROM --platform=$BUILDPLATFORM alpine:3.20 AS base"},
      {.name = "CopyIgnoredFile",
       .description = "Attempting to Copy file that is excluded by .dockerignore",
       .explanation = "What .dockerignore excludes is not part of the build context, so copying it "
                      "fails.",
       .bad = "# .dockerignore: tmp/\nCOPY tmp/settings.json /etc/",
       .good = "# .dockerignore: tmp/\nCOPY config/settings.json /etc/",
       .experimental = true},
      {.name = "InvalidDefinitionDescription",
       .description = "Comment for build stage or argument should follow the format: `# <arg/stage "
                      "name> <description>`. If this is not intended to be a description comment, "
                      "add an empty line or comment between the instruction and the comment.",
       .explanation = "Tools show the comment right above a stage or an argument as its "
                      "description, if it starts with the name.",
       .bad = "# the version\nARG VERSION=1",
       .good = "# VERSION is what is installed\nARG VERSION=1",
       .experimental = true},
      {.name = "ExposeProtoCasing",
       .description = "Protocol in EXPOSE instruction should be lowercase",
       .explanation = "The image's configuration has the protocol in lower case.",
       .bad = "EXPOSE 80/TcP",
       .good = "EXPOSE 80/tcp"},
      {.name = "ExposeInvalidFormat",
       .description = "IP address and host-port mapping should not be used in EXPOSE instruction. "
                      "This will become an error in a future release",
       .explanation = "EXPOSE says which ports a container listens on. Where they appear on a host "
                      "is decided when it is started; the rest of the word is ignored.",
       .bad = "EXPOSE 127.0.0.1:80:80",
       .good = "EXPOSE 80"},
  });
  return kRules;
}

}  // namespace strake::check

#include <array>

#include "builder/check/rule_tables.h"

namespace strake::check {

std::span<const Rule> strake_rules() {
  constexpr Origin kOwn = Origin::strake;
  static constexpr auto kRules = std::to_array<Rule>({
      {.name = "BaseImageWithoutVersion",
       .description = "A base image should be named with a version or a digest",
       .explanation = "\"latest\", and no tag at all, mean another image every few weeks: a build "
                      "that works today fails tomorrow, and nobody can tell what changed.",
       .bad = "FROM python",
       .good = "FROM python:3.13-slim",
       .origin = kOwn},
      {.name = "BaseImageEndOfLife",
       .description = "A base image should be one that still gets security fixes",
       .explanation = "Nobody repairs the holes that are found in it any more. The check knows a "
                      "few well-known official images only.",
       .bad = "FROM python:3.7-slim",
       .good = "FROM python:3.13-slim",
       .origin = kOwn},
      {.name = "BackgroundedCommand",
       .description = "A single & does not wait for a command",
       .explanation =
           "\"a & b\" starts both at once and ignores how a ends, where \"a && b\" waits "
           "for a and stops when it fails. What still runs when a RUN ends is killed.\n"
           "A RUN that takes care of its jobs (wait, kill, $!) is left alone.",
       .bad = "RUN apt-get update & apt-get install -y curl",
       .good = "RUN apt-get update && apt-get install -y curl",
       .origin = kOwn},
      {.name = "AptGetMissingYes",
       .description = "apt-get must not ask in a build",
       .explanation = "Without -y apt-get asks whether to go on. Nobody is there to answer, so the "
                      "RUN fails.",
       .bad = "RUN apt-get update && apt-get install curl",
       .good = "RUN apt-get update && apt-get install -y curl",
       .origin = kOwn},
      {.name = "AptGetUpdateAlone",
       .description = "apt-get update belongs into the RUN that installs",
       .explanation =
           "In a RUN of its own the package lists are cached. When the RUN that installs "
           "changes, it takes lists of last month, whose packages are gone.",
       .bad = "RUN apt-get update\nRUN apt-get install -y curl",
       .good = "RUN apt-get update && apt-get install -y curl",
       .origin = kOwn},
      {.name = "AptGetInstallWithoutUpdate",
       .description = "apt-get install needs the package lists of the same RUN",
       .explanation =
           "The lists come from a layer below: from a cached RUN, where they are old, or "
           "from the base image, where they mostly are not there at all.",
       .bad = "RUN apt-get install -y curl",
       .good = "RUN apt-get update && apt-get install -y curl",
       .origin = kOwn},
      {.name = "AptGetInstallsRecommends",
       .description = "apt-get should install what is needed only",
       .explanation =
           "By default apt-get also installs what packages recommend, often several times "
           "what was asked for. Name what is missed then. Only stages whose layers are in "
           "the image are looked at.",
       .bad = "RUN apt-get update && apt-get install -y git",
       .good = "RUN apt-get update && apt-get install -y --no-install-recommends git",
       .origin = kOwn},
      {.name = "AptListsLeft",
       .description = "apt's package lists should not be in an image",
       .explanation = "They take 20 to 50 MB and are out of date the day after. Removing them in a "
                      "later RUN does not help: the layer still has them. A mount on /var/lib/apt "
                      "keeps them out as well.",
       .bad = "RUN apt-get update && apt-get install -y curl",
       .good = "RUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*",
       .origin = kOwn},
      {.name = "AptPythonPackage",
       .description = "apt's Python modules are not for the python images",
       .explanation = "The python images have their Python in /usr/local. apt installs Debian's "
                      "Python beside it, and its modules where only that one looks: importing them "
                      "fails.",
       .bad = "FROM python:3.13-slim\nRUN apt-get update && apt-get install -y python3-numpy",
       .good = "FROM python:3.13-slim\nRUN pip install --no-cache-dir numpy",
       .origin = kOwn},
      {.name = "ApkCacheLeft",
       .description = "apk's index should not be in an image",
       .explanation = "\"apk add --no-cache\" fetches the index, uses it and keeps nothing.",
       .bad = "RUN apk update && apk add curl",
       .good = "RUN apk add --no-cache curl",
       .origin = kOwn},
      {.name = "PipCacheLeft",
       .description = "pip's cache should not be in an image",
       .explanation =
           "pip keeps the archives it downloaded, for a next time that the image never "
           "sees. Say --no-cache-dir (or ENV PIP_NO_CACHE_DIR=1), or keep the cache where "
           "builds share it: RUN --mount=type=cache,target=/root/.cache/pip.",
       .bad = "RUN pip install -r requirements.txt",
       .good = "RUN pip install --no-cache-dir -r requirements.txt",
       .origin = kOwn},
      {.name = "RunWithoutEffect",
       .description = "A RUN that only changes its own shell changes nothing",
       .explanation = "Each RUN has a shell of its own, which ends with it: its directory and its "
                      "variables are gone. WORKDIR and ENV last.",
       .bad = "RUN cd /app\nRUN make",
       .good = "WORKDIR /app\nRUN make",
       .origin = kOwn},
      {.name = "SudoInRun",
       .description = "sudo in a RUN of root's does nothing",
       .explanation = "The steps of a build run as root until a USER says otherwise. sudo is one "
                      "more package, and one more way to become root, in the image.",
       .bad = "FROM debian:12\nRUN sudo apt-get update",
       .good = "FROM debian:12\nRUN apt-get update",
       .origin = kOwn},
      {.name = "PipedScriptHidesFailure",
       .description = "A script that is piped into a shell hides a failed download",
       .explanation = "A pipe ends as its last command does. When the download fails, the shell "
                      "reads an empty script and succeeds, and the failure shows up much later.",
       .bad = "RUN curl -fsSL https://example.com/install.sh | sh",
       .good = "RUN curl -fsSL https://example.com/install.sh -o /tmp/install.sh \\\n"
               "    && sh /tmp/install.sh && rm /tmp/install.sh",
       .origin = kOwn},
      {.name = "FileRemovedInLaterLayer",
       .description = "Files removed in a later layer stay in the image",
       .explanation =
           "Layers only add. What an earlier instruction put into one is downloaded with "
           "it for ever, and can be read by whoever looks. Remove it in the RUN that made "
           "it, mount it (RUN --mount=type=bind), or make it in another stage.",
       .bad = "COPY app.tar.gz /tmp/\nRUN tar -xf /tmp/app.tar.gz -C /srv && rm /tmp/app.tar.gz",
       .good = "RUN --mount=type=bind,source=app.tar.gz,target=/tmp/app.tar.gz \\\n"
               "    tar -xf /tmp/app.tar.gz -C /srv",
       .origin = kOwn},
      {.name = "CopyBeforeInstall",
       .description = "Dependencies should be installed before everything is copied",
       .explanation =
           "A change of any file makes the COPY, and all that follows it, run again. What "
           "only needs the list of dependencies is cached when that list is copied first "
           "and alone.",
       .bad = "COPY . .\nRUN npm ci",
       .good = "COPY package.json package-lock.json ./\nRUN npm ci\nCOPY . .",
       .origin = kOwn},
      {.name = "CopyWithoutWorkdir",
       .description = "A relative destination needs a WORKDIR",
       .explanation =
           "It is below the working directory of the base image, mostly \"/\", where the "
           "files of the application then lie among those of the system.",
       .bad = "FROM python:3.13-slim\nCOPY requirements.txt requirements.txt",
       .good = "FROM python:3.13-slim\nWORKDIR /app\nCOPY requirements.txt requirements.txt",
       .origin = kOwn},
      {.name = "RunsAsRoot",
       .description = "A container should not run as root",
       .explanation = "Whoever breaks into the application is root in the container then, and one "
                      "hole away from the host. A base image may set a USER: the check does not "
                      "fetch it. Programs that change their user by themselves may say so with "
                      "\"# check=skip=RunsAsRoot\".",
       .bad = "FROM python:3.13-slim\nCMD [\"python\", \"/app/main.py\"]",
       .good = "FROM python:3.13-slim\nUSER 1000\nCMD [\"python\", \"/app/main.py\"]",
       .origin = kOwn},
      {.name = "EmptyArgument",
       .description = "ENTRYPOINT and CMD should have no empty arguments",
       .explanation = "\"\" is an argument like any other: a program that expects a file takes it "
                      "for one without a name.",
       .bad = "ENTRYPOINT [\"python\", \"\"]",
       .good = "ENTRYPOINT [\"python\", \"/app/main.py\"]",
       .origin = kOwn},
      {.name = "EntrypointWithoutScript",
       .description = "An interpreter as ENTRYPOINT needs a script",
       .explanation = "CMD is appended to ENTRYPOINT. When that names an interpreter only, the "
                      "interpreter takes the options of the application for its own.",
       .bad = "ENTRYPOINT [\"python\"]\nCMD [\"--input\", \"1234\"]",
       .good = "ENTRYPOINT [\"python\", \"/app/main.py\"]\nCMD [\"--input\", \"1234\"]",
       .origin = kOwn},
      {.name = "SecretInDockerfile",
       .description = "A Dockerfile should hold no secrets",
       .explanation = "The text of RUN and the values of ARG and ENV are in the image's history. A "
                      "secret that was in an image once has to be replaced. The check knows the "
                      "forms of some well-known tokens, private keys, and URLs with a password.",
       .bad = "RUN git clone https://ana:hunter2@example.com/shop.git",
       .good = "RUN --mount=type=secret,id=netrc,target=/root/.netrc \\\n"
               "    git clone https://example.com/shop.git",
       .origin = kOwn},
      {.name = "SecretFileCopied",
       .description = "Files with secrets should not be copied into a layer",
       .explanation =
           "Everyone who has the image can read them, also when a later RUN removes them. "
           "The check goes by names: private keys, .env, .netrc, .aws, credentials.json.",
       .bad = "COPY id_rsa /root/.ssh/id_rsa\nRUN git clone git@example.com:shop.git",
       .good = "RUN --mount=type=ssh git clone git@example.com:shop.git",
       .origin = kOwn},
  });
  return kRules;
}

}  // namespace strake::check

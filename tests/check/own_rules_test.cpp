#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/check/support.h"

namespace strake::check {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Lines of findings in a stage on Debian; the first line of `body` is line 2.
std::vector<int> on_debian(std::string_view rule, const std::string& body) {
  return hits(rule, "FROM debian:12\n" + body + "\n");
}
bool found(std::string_view rule, const std::string& body) {
  return !on_debian(rule, body).empty();
}

TEST(OwnRules, AllFaultsOfAnOrdinaryDockerfileAreExplained) {
  const CheckReport found = report(R"(FROM python:3.7-slim
RUN apt-get update & apt-get install python3-numpy
COPY requirements.txt requirements.txt
RUN pip install -r requirements.txt
COPY app /app
ENTRYPOINT ["python", ""]
CMD ["--input", "1234"]
)");
  std::vector<std::string> names;
  for (const Finding& finding : found.findings)
    names.push_back(std::to_string(finding.where.first_line) + " " + std::string(finding.rule));
  EXPECT_THAT(
      names, ElementsAre("1 BaseImageEndOfLife", "2 AptGetMissingYes", "2 AptGetInstallsRecommends",
                         "2 AptListsLeft", "2 AptPythonPackage", "2 BackgroundedCommand",
                         "3 CopyWithoutWorkdir", "4 PipCacheLeft", "6 EmptyArgument",
                         "6 EntrypointWithoutScript", "6 RunsAsRoot"));
}

TEST(OwnRules, AGoodDockerfileHasNoFindings) {
  EXPECT_THAT(lines_of(report(R"(FROM node:22-slim AS web
WORKDIR /web
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY web .
RUN npm run build

FROM python:3.13-slim
WORKDIR /app
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq5 \
    && rm -rf /var/lib/apt/lists/*
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements.txt
COPY . .
COPY --from=web /web/dist static
USER 1000
ENTRYPOINT ["python", "main.py"]
CMD ["--input", "1234"]
)")),
              IsEmpty());
}

TEST(OwnRules, BaseImagesHaveAVersion) {
  constexpr auto kRule = "BaseImageWithoutVersion";
  EXPECT_THAT(hits(kRule, "FROM debian\n"), ElementsAre(1));
  EXPECT_THAT(hits(kRule, "FROM example.com:5000/team/app:latest\n"), ElementsAre(1));
  EXPECT_THAT(hits(kRule, "FROM debian:12 AS a\nFROM a\nFROM scratch\n"), IsEmpty());
  EXPECT_THAT(hits(kRule, "FROM debian@sha256:" + std::string(64, 'a') + "\n"), IsEmpty());
  EXPECT_THAT(hits(kRule, "ARG B=debian:12\nFROM $B\n"), IsEmpty());
  EXPECT_THAT(hits(kRule, "ARG B=debian\nFROM $B\n"), ElementsAre(2));
}

TEST(OwnRules, OldBaseImagesAreNamedWithTheirDate) {
  constexpr auto kRule = "BaseImageEndOfLife";
  EXPECT_EQ(detail(kRule, "FROM python:3.7-slim\n"),
            "the base image \"python:3.7-slim\" is old: python 3.7 gets no fixes since June 2023");
  for (const char* image :
       {"python:2", "python:2.7.18", "python:3.8.1", "python:3.12-buster", "node:16", "node:10.2",
        "debian:stretch-slim", "debian:10", "ubuntu:18.04", "ubuntu:bionic", "alpine:3.9",
        "docker.io/library/alpine:3.15.1", "centos:7"})
    EXPECT_THAT(hits(kRule, std::string("FROM ") + image + "\n"), ElementsAre(1)) << image;
  for (const char* image : {"python:3", "python:3.13", "python", "node:22", "node:lts", "debian:12",
                            "debian:bookworm", "ubuntu:24.04", "alpine:3.20", "alpine:edge",
                            "example.com/python:2", "someone/node:8", "golang:1.24"})
    EXPECT_THAT(hits(kRule, std::string("FROM ") + image + "\n"), IsEmpty()) << image;
}

TEST(OwnRules, ASingleAmpersand) {
  constexpr auto kRule = "BackgroundedCommand";
  EXPECT_TRUE(found(kRule, "RUN apt-get update & apt-get install -y curl"));
  EXPECT_TRUE(found(kRule, "RUN sh -c 'mkdir a' && cp a b & mv a c"));
  EXPECT_TRUE(found(kRule, "RUN /usr/sbin/sshd &"));
  EXPECT_FALSE(found(kRule, "RUN apt-get update && apt-get install -y curl"));
  EXPECT_FALSE(found(kRule, "RUN make > log 2>&1 && ls &> out"));
  EXPECT_FALSE(found(kRule, "RUN mysqld & sleep 5 && mysql < init.sql"));
  EXPECT_FALSE(found(kRule, "RUN make a & make b & wait"));
  EXPECT_FALSE(found(kRule, "RUN curl -o a x & pid=$!; echo b; kill $pid"));
  EXPECT_FALSE(found(kRule, "RUN curl 'http://x/?a=1&b=2' -o f && sed 's/a/&b/' f"));
  EXPECT_FALSE(found(kRule, "RUN [\"sh\", \"&\"]"));
}

TEST(OwnRules, AptMustNotAsk) {
  constexpr auto kRule = "AptGetMissingYes";
  EXPECT_TRUE(found(kRule, "RUN apt-get update && apt-get install curl"));
  EXPECT_TRUE(found(kRule, "RUN apt update && apt upgrade"));
  EXPECT_TRUE(found(kRule, "RUN bash -c \"apt-get update && apt-get install curl\""));
  EXPECT_TRUE(found(kRule, "RUN DEBIAN_FRONTEND=noninteractive /usr/bin/apt-get install curl"));
  EXPECT_TRUE(found(kRule, "RUN [\"apt-get\", \"install\", \"curl\"]"));
  EXPECT_TRUE(found(kRule, "RUN apt-get install curl > /dev/null"));
  for (const char* call :
       {"apt-get install -y curl", "apt-get -y install curl", "apt-get -qy install curl",
        "apt-get install --yes curl", "apt-get install -qq curl", "yes | apt-get install curl",
        "apt-get install $OPTIONS curl", "apt-get install --assume-yes curl", "apt-get clean",
        "apt-get -o APT::Get::Assume-Yes=true install curl", "echo apt-get install curl",
        "sudo -E apt-get install -y curl", "apt-get --simulate install curl"})
    EXPECT_FALSE(found(kRule, std::string("RUN ") + call)) << call;
  EXPECT_FALSE(found(kRule, "ENV O=-y\nRUN apt-get install $O curl"));
  EXPECT_TRUE(found(kRule, "ENV P=curl\nRUN apt-get install $P"));
  EXPECT_FALSE(found(kRule, "RUN <<EOF\n#!/usr/bin/python3\napt-get install curl\nEOF"));
  EXPECT_TRUE(found(kRule, "RUN <<EOF\napt-get update\napt-get install curl\nEOF"));
}

TEST(OwnRules, UpdateAndInstallBelongTogether) {
  constexpr auto kUpdate = "AptGetUpdateAlone";
  constexpr auto kInstall = "AptGetInstallWithoutUpdate";
  const std::string apart = "RUN apt-get update\nRUN apt-get install -y curl";
  EXPECT_THAT(on_debian(kUpdate, apart), ElementsAre(2));
  EXPECT_THAT(on_debian(kInstall, apart), ElementsAre(3));
  const std::string together = "RUN apt-get update && apt-get install -y curl";
  EXPECT_FALSE(found(kUpdate, together) || found(kInstall, together));
  EXPECT_FALSE(found(kUpdate, "RUN apt-get update && ./install.sh"));
  EXPECT_FALSE(found(kUpdate, "RUN --mount=type=cache,target=/var/lib/apt apt-get update"));
  EXPECT_FALSE(
      found(kInstall, "RUN curl -fsSL https://x/setup | bash - && apt-get install -y nodejs"));
  EXPECT_FALSE(found(kInstall, "RUN apt-get install -y ./tool.deb"));
  EXPECT_FALSE(
      found(kInstall, "RUN --mount=type=cache,target=/var/lib/apt/lists apt-get install -y curl"));
}

TEST(OwnRules, WhatAptLeavesInTheImage) {
  const std::string bare = "RUN apt-get update && apt-get install -y curl";
  for (const char* rule : {"AptListsLeft", "AptGetInstallsRecommends"}) {
    EXPECT_THAT(on_debian(rule, bare), ElementsAre(2)) << rule;
    EXPECT_THAT(hits(rule, "FROM debian:12 AS build\n" + bare + "\nFROM scratch\n"), IsEmpty())
        << "its layers are not in the image";
    EXPECT_THAT(hits(rule, "FROM debian:12 AS base\n" + bare + "\nFROM base\n"), ElementsAre(2));
  }
  for (const char* clean :
       {"rm -rf /var/lib/apt/lists/*", "rm -r /var/lib/apt", "apt-get distclean",
        "find /var/lib/apt/lists -type f -delete", "/usr/local/bin/docker-clean"})
    EXPECT_FALSE(found("AptListsLeft", bare + " && " + clean)) << clean;
  EXPECT_TRUE(found("AptListsLeft", bare + " && apt-get clean"));
  EXPECT_FALSE(found("AptListsLeft",
                     "RUN --mount=type=cache,target=/var/lib/apt,sharing=locked "
                     "apt-get update && apt-get install -y curl"));
  EXPECT_FALSE(found("AptGetInstallsRecommends",
                     "RUN apt-get update && apt-get install -y --no-install-recommends curl"));
  EXPECT_FALSE(
      found("AptGetInstallsRecommends",
            "RUN echo 'APT::Install-Recommends \"0\";' > /etc/apt/apt.conf.d/01\n" + bare));
}

TEST(OwnRules, AptModulesInPythonImages) {
  constexpr auto kRule = "AptPythonPackage";
  const std::string body = "\nRUN apt-get update && apt-get install -y python3-numpy\n";
  EXPECT_THAT(hits(kRule, "FROM python:3.13-slim" + body), ElementsAre(2));
  EXPECT_THAT(hits(kRule, "FROM python:3.13 AS a\nFROM a" + body), ElementsAre(3));
  EXPECT_THAT(hits(kRule, "FROM debian:12" + body), IsEmpty());
  EXPECT_THAT(hits(kRule, "FROM python:3.13" + body + "RUN /usr/bin/python3 x\n"), IsEmpty());
}

TEST(OwnRules, ApkKeepsNoIndex) {
  constexpr auto kRule = "ApkCacheLeft";
  EXPECT_TRUE(found(kRule, "RUN apk update && apk add curl"));
  EXPECT_TRUE(found(kRule, "RUN apk add -U curl"));
  EXPECT_FALSE(found(kRule, "RUN apk add --no-cache curl"));
  EXPECT_FALSE(found(kRule, "RUN apk update && apk add curl && rm -rf /var/cache/apk/*"));
  EXPECT_FALSE(found(kRule, "RUN --mount=type=cache,target=/var/cache/apk apk update"));
}

TEST(OwnRules, PipKeepsNoCache) {
  constexpr auto kRule = "PipCacheLeft";
  for (const char* call : {"pip install x", "pip3 install -r r.txt", "pip3.11 install x",
                           "python3 -m pip install x", "/venv/bin/pip install x"})
    EXPECT_TRUE(found(kRule, std::string("RUN ") + call)) << call;
  for (const char* call :
       {"pip install --no-cache-dir x", "pip --no-cache-dir install x",
        "PIP_NO_CACHE_DIR=1 pip install x", "export PIP_NO_CACHE_DIR=1 && pip install x",
        "pip install x && rm -rf /root/.cache", "pip install x && pip cache purge",
        "pip download x", "pip --version", "pipx install x", "uv pip install x",
        "echo pip install"})
    EXPECT_FALSE(found(kRule, std::string("RUN ") + call)) << call;
  EXPECT_FALSE(found(kRule, "ENV PIP_NO_CACHE_DIR=1\nRUN pip install x"));
  EXPECT_FALSE(found(kRule, "RUN --mount=type=cache,target=/root/.cache/pip pip install x"));
  EXPECT_FALSE(found(kRule, "RUN --mount=type=cache,target=/root/.cache pip install x"));
}

TEST(OwnRules, ARunThatEndsWithItsShell) {
  constexpr auto kRule = "RunWithoutEffect";
  EXPECT_TRUE(found(kRule, "RUN cd /app"));
  EXPECT_TRUE(found(kRule, "RUN set -e; export A=b"));
  EXPECT_FALSE(found(kRule, "RUN cd /app && make"));
  EXPECT_FALSE(found(kRule, "RUN export -p > /env"));
  EXPECT_FALSE(found(kRule, "RUN A=1"));
}

TEST(OwnRules, SudoOfRoot) {
  constexpr auto kRule = "SudoInRun";
  EXPECT_TRUE(found(kRule, "RUN sudo apt-get update"));
  EXPECT_TRUE(found(kRule, "USER root\nRUN sudo make install"));
  EXPECT_FALSE(found(kRule, "RUN sudo -u www make"));
  EXPECT_FALSE(found(kRule, "USER ana\nRUN sudo make"));
  EXPECT_FALSE(found(kRule, "RUN apt-get install -y sudo"));
  EXPECT_THAT(hits(kRule, "FROM gitpod/workspace-base:1\nRUN sudo make\n"), IsEmpty());
}

TEST(OwnRules, ScriptsPipedIntoAShell) {
  constexpr auto kRule = "PipedScriptHidesFailure";
  EXPECT_TRUE(found(kRule, "RUN curl -fsSL https://x/i.sh | sh"));
  EXPECT_TRUE(found(kRule, "RUN wget -qO- https://x/i.sh | sudo bash -s -- -y"));
  EXPECT_FALSE(found(kRule, "RUN set -o pipefail; curl https://x/i.sh | bash"));
  EXPECT_FALSE(found(kRule,
                     "SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\n"
                     "RUN curl https://x/i.sh | bash"));
  EXPECT_FALSE(found(kRule, "RUN curl https://x/a.tgz | tar xz"));
  EXPECT_FALSE(found(kRule, "RUN echo 'curl x | sh'"));
}

TEST(OwnRules, FilesRemovedTooLate) {
  constexpr auto kRule = "FileRemovedInLaterLayer";
  EXPECT_TRUE(found(kRule, "COPY a.tgz /tmp/\nRUN tar xf /tmp/a.tgz && rm /tmp/a.tgz"));
  EXPECT_TRUE(found(kRule, "WORKDIR /w\nCOPY a b ./\nRUN rm -f b"));
  EXPECT_TRUE(found(kRule, "COPY src /src\nRUN make -C /src && rm -rf /src"));
  EXPECT_TRUE(found(kRule, "RUN curl -o /tmp/x https://x\nRUN rm /tmp/x"));
  EXPECT_TRUE(found(kRule,
                    "RUN apt-get update && apt-get install -y a\n"
                    "RUN rm -rf /var/lib/apt/lists/*"));
  EXPECT_FALSE(found(kRule, "RUN curl -o /tmp/x https://x && rm /tmp/x"));
  const std::string clean = "RUN apt-get update && rm -rf /var/lib/apt/lists/*\n";
  EXPECT_FALSE(found(kRule, clean + clean)) << "each cleans up behind itself";
  EXPECT_FALSE(found(kRule, "COPY a /a\nRUN rm /b /aa"));
  EXPECT_FALSE(found(kRule, "COPY a /a\nRUN rm $X/a && cd /x && rm a"));
  EXPECT_THAT(hits(kRule, "FROM debian:12 AS a\nCOPY x /x\nRUN rm /x\nFROM scratch\n"), IsEmpty());
  EXPECT_THAT(hits(kRule, "FROM debian:12 AS a\nCOPY x /x\nFROM a\nRUN rm /x\n"), ElementsAre(4));
  EXPECT_EQ(
      detail(kRule, "FROM debian:12\nCOPY x /x\nRUN rm /x\n"),
      "\"/x\" was added by the COPY of line 2, so removing it here makes the image no smaller");
}

TEST(OwnRules, DependenciesComeBeforeTheRest) {
  constexpr auto kRule = "CopyBeforeInstall";
  EXPECT_THAT(on_debian(kRule, "COPY . .\nRUN npm ci"), ElementsAre(2));
  EXPECT_THAT(on_debian(kRule, "COPY ./ /app\nRUN pip install -r requirements.txt"),
              ElementsAre(2));
  EXPECT_TRUE(found(kRule, "ADD . /app\nRUN go mod download"));
  EXPECT_FALSE(found(kRule, "COPY package.json .\nRUN npm ci\nCOPY . .\nRUN npm ci"));
  EXPECT_FALSE(found(kRule, "COPY . .\nRUN pip install -r r.txt -e ."));
  EXPECT_FALSE(found(kRule, "COPY . .\nRUN pip install ."));
  EXPECT_FALSE(found(kRule, "COPY . .\nRUN npm install -g tool"));
  EXPECT_FALSE(found(kRule, "COPY --from=x . .\nRUN npm ci"));
}

TEST(OwnRules, RelativeDestinations) {
  constexpr auto kRule = "CopyWithoutWorkdir";
  EXPECT_THAT(on_debian(kRule, "COPY a b\nCOPY c d"), ElementsAre(2)) << "once";
  EXPECT_FALSE(found(kRule, "WORKDIR /x\nCOPY a b"));
  EXPECT_FALSE(found(kRule, "COPY a /b"));
  EXPECT_THAT(hits(kRule, "FROM scratch\nCOPY a b\n"), IsEmpty());
  EXPECT_THAT(hits(kRule, "FROM golang:1.24\nCOPY a b\n"), IsEmpty());
  EXPECT_THAT(hits(kRule, "FROM example.com/base:1\nCOPY a b\n"), IsEmpty());
}

TEST(OwnRules, RootInTheEnd) {
  constexpr auto kRule = "RunsAsRoot";
  EXPECT_TRUE(found(kRule, "CMD [\"x\"]"));
  EXPECT_TRUE(found(kRule, "USER ana\nCMD [\"x\"]\nUSER root"));
  EXPECT_FALSE(found(kRule, "USER ana\nCMD [\"x\"]"));
  EXPECT_FALSE(found(kRule, "COPY a /a")) << "nothing is run";
  EXPECT_THAT(hits(kRule, "FROM debian:12 AS a\nUSER 1\nFROM a\nCMD [\"x\"]\n"), IsEmpty());
  EXPECT_THAT(hits(kRule, "FROM debian:12 AS a\nCMD [\"x\"]\nFROM scratch\nCOPY a /\n"), IsEmpty());
  EXPECT_THAT(hits(kRule, "FROM gcr.io/distroless/static:nonroot\nCMD [\"/x\"]\n"), IsEmpty());
  EXPECT_THAT(detail(kRule, "FROM debian:12\nCMD [\"x\"]\n"), HasSubstr("unless the base image"));
}

TEST(OwnRules, EmptyArguments) {
  EXPECT_EQ(detail("EmptyArgument", "FROM debian:12\nENTRYPOINT [\"python\", \"\"]\n"),
            "argument 2 of ENTRYPOINT is empty: \"python\" gets it as an argument, \"\"");
  EXPECT_TRUE(found("EmptyArgument", "CMD [\"\"]"));
  EXPECT_FALSE(found("EmptyArgument", "ENTRYPOINT []\nCMD []"));
  EXPECT_FALSE(found("EmptyArgument", "CMD echo \"\""));
}

TEST(OwnRules, InterpretersWithoutAScript) {
  constexpr auto kRule = "EntrypointWithoutScript";
  EXPECT_TRUE(found(kRule, "ENTRYPOINT [\"python3\"]\nCMD [\"--input\", \"1\"]"));
  EXPECT_TRUE(found(kRule, "ENTRYPOINT [\"python\", \"-u\"]\nCMD [\"--input\", \"1\"]"));
  EXPECT_TRUE(found(kRule, "ENTRYPOINT [\"node\"]\nCMD [\"--port\", \"1\"]"));
  for (const char* cmd : {"[\"-m\", \"http.server\"]", "[\"main.py\"]", "[\"--version\"]"})
    EXPECT_FALSE(found(kRule, std::string("ENTRYPOINT [\"python\"]\nCMD ") + cmd)) << cmd;
  EXPECT_FALSE(found(kRule, "ENTRYPOINT [\"python\", \"main.py\"]\nCMD [\"--input\"]"));
  EXPECT_FALSE(found(kRule, "ENTRYPOINT [\"node\"]\nCMD [\"--inspect\", \"server.js\"]"));
  EXPECT_FALSE(found(kRule, "ENTRYPOINT [\"/app\"]\nCMD [\"--input\"]"));
}

TEST(OwnRules, SecretsInTheText) {
  constexpr auto kRule = "SecretInDockerfile";
  const std::string token = "ghp_" + std::string("0123456789abcdefghijABCDEFGHIJ456789");
  EXPECT_TRUE(found(kRule, "ENV T=" + token));
  EXPECT_TRUE(found(kRule, "ARG T=\"" + token + "\""));
  EXPECT_TRUE(found(kRule, "RUN curl -H 'Authorization: token " + token + "' https://x"));
  EXPECT_TRUE(found(kRule, "RUN git clone https://ana:hunter2@example.com/x"));
  EXPECT_TRUE(found(kRule, "RUN echo '-----BEGIN RSA PRIVATE KEY-----' > k"));
  EXPECT_FALSE(found(kRule, "ENV T=ghp_" + std::string(36, 'x')));
  EXPECT_FALSE(found(kRule, "ENV T=ghp_short A=AKIA"));
  EXPECT_FALSE(found(kRule, "RUN git clone https://$USER:$TOKEN@example.com/x"));
  EXPECT_FALSE(found(kRule, "RUN git clone https://git@example.com/x"));
  EXPECT_FALSE(found(kRule, "RUN curl http://proxy:3128/@x"));
  EXPECT_EQ(detail(kRule, "FROM debian:12\nENV T=" + token + "\n").find(token), std::string::npos)
      << "a message shows no secret";
}

TEST(OwnRules, FilesWithSecrets) {
  constexpr auto kRule = "SecretFileCopied";
  for (const char* file : {"id_rsa", ".env", "conf/.env.production", ".aws/credentials", ".netrc",
                           "certs/server-key.pem", "credentials.json", ".ssh/id_ed25519", "a.pfx"})
    EXPECT_TRUE(found(kRule, std::string("COPY ") + file + " /x/")) << file;
  for (const char* file : {"id_rsa.pub", ".env.example", "ca-cert.pem", "fullchain.pem", ".npmrc",
                           "package.json", ".envrc.d", "key.txt"})
    EXPECT_FALSE(found(kRule, std::string("COPY ") + file + " /x/")) << file;
  EXPECT_FALSE(found(kRule, "COPY --from=a id_rsa /x/"));
}

TEST(OwnRules, ScriptsThatAreNotUnderstoodAreLeftAlone) {
  EXPECT_FALSE(found("AptGetMissingYes", "RUN apt-get install curl && echo 'open"));
  EXPECT_FALSE(found("AptGetMissingYes", "SHELL [\"powershell\"]\nRUN apt-get install curl"));
}

}  // namespace
}  // namespace strake::check

#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "layers/base/fd.h"
#include "layers/base/files.h"

extern char** environ;

namespace strake::support {

/// Certificates made by the program openssl, below a directory of their own.
class Certificates {
 public:
  Certificates() : directory_(std::filesystem::temp_directory_path(), "tls-test-") {}

  std::string path(const std::string& name) const { return directory_.path() / name; }

  /// <name>.pem with a self-signed CA certificate and its key.
  std::string make_ca(const std::string& name = "ca") {
    run("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=" + name + " -keyout " +
        path(name + ".key") + " -out " + path(name + ".crt") +
        " -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign");
    return join(name);
  }
  /// <name>.pem with a key and a certificate for `names` ("DNS:localhost,IP:127.0.0.1") signed by
  /// the CA, valid for `days` from now (negative: until then).
  std::string make(const std::string& name, const std::string& names, int days = 2, int bits = 2048,
                   const std::string& ca = "ca") {
    run("req -newkey rsa:" + std::to_string(bits) + " -nodes -subj /CN=" + name + " -keyout " +
        path(name + ".key") + " -out " + path(name + ".csr"));
    std::ofstream(path(name + ".ext")) << "subjectAltName=" << names << "\n";
    run("x509 -req -in " + path(name + ".csr") + " -CA " + path(ca + ".crt") + " -CAkey " +
        path(ca + ".key") + " -CAcreateserial -days " + std::to_string(days) +
        " -sha256 -extfile " + path(name + ".ext") + " -out " + path(name + ".crt"));
    return join(name);
  }

 private:
  static void run(const std::string& arguments) {
    if (std::system(("openssl " + arguments + " >/dev/null 2>&1").c_str()) != 0)
      throw std::runtime_error("openssl " + arguments + " failed");
  }
  std::string join(const std::string& name) const {
    std::ofstream out(path(name + ".pem"));
    for (const char* part : {".crt", ".key"}) out << std::ifstream(path(name + part)).rdbuf();
    return path(name + ".pem");
  }

  base::TempDirectory directory_;
};

/// tls_front.py in front of a port: its options are words as "max=1.1" or "alpn=h2".
class TlsFront {
 public:
  TlsFront(std::uint16_t behind, const std::string& pem, std::vector<std::string> options = {}) {
    base::Pipe input = base::make_pipe();
    base::Pipe output = base::make_pipe();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input.read_end.get(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output.write_end.get(), STDOUT_FILENO);
    std::vector<std::string> words = {"python3", "-Wignore", STRAKE_TLS_FRONT,
                                      std::to_string(behind), pem};
    words.insert(words.end(), options.begin(), options.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const int error = posix_spawnp(&pid_, "python3", &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::runtime_error("cannot run python3");
    input_ = std::move(input.write_end);
    output_ = std::move(output.read_end);
    output.write_end.reset();
    port_ = line();
  }
  ~TlsFront() {
    input_.reset();
    waitpid(pid_, nullptr, 0);
  }
  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;

  std::string port() const { return port_; }
  std::string url(const std::string& target = "/", const std::string& name = "127.0.0.1") const {
    return "https://" + name + ":" + port_ + target;
  }
  /// The next line about a connection: "alpn h2 anonymous", "refused …".
  std::string line() {
    std::string text;
    char c = 0;
    while (::read(output_.get(), &c, 1) == 1 && c != '\n') text += c;
    return text;
  }

 private:
  pid_t pid_ = -1;
  base::FileDescriptor input_, output_;
  std::string port_;
};

}  // namespace strake::support

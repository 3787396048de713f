#pragma once

#include <chrono>
#include <string>

#include "builder/context/http_source.h"
#include "tests/support/http_exchange.h"

namespace strake::builder {

/// Retries without waiting.
inline HttpSourceOptions hasty() {
  HttpSourceOptions options;
  options.environment.now = [] { return registry::Clock::now(); };
  options.environment.sleep = [](std::chrono::milliseconds, std::stop_token) {};
  options.environment.random = [] { return 0.0; };
  return options;
}

/// A server of one file with an ETag, which knows If-None-Match and ranges.
inline support::ServerHandler file_server(std::string content, std::string etag,
                                          support::ServerResponse first = {.status = 0}) {
  return [content, etag, first,
          fresh = std::make_shared<bool>(true)](const support::ServerRequest& request) {
    if (first.status != 0 && std::exchange(*fresh, false)) return first;
    support::ServerResponse response;
    response.headers = {{"ETag", etag},
                        {"Last-Modified", "Thu, 26 Jan 2017 16:59:13 GMT"},
                        {"Date", "Sun, 22 Nov 2026 10:00:00 GMT"},
                        {"Content-Type", "text/plain"}};
    if (request.header("If-None-Match") == etag) {
      response.status = 304;
    } else if (const std::string range = request.header("Range");
               !range.empty() && request.header("If-Range") == etag) {
      const std::size_t begin = std::stoul(range.substr(range.find('=') + 1));
      response.status = 206;
      response.body = content.substr(begin);
      response.headers.emplace_back("Content-Range", "bytes " + std::to_string(begin) + "-" +
                                                         std::to_string(content.size() - 1) + "/" +
                                                         std::to_string(content.size()));
    } else {
      response.body = content;
    }
    return response;
  };
}

}  // namespace strake::builder

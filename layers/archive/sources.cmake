target_sources(layers PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/archive_probe.cpp
  ${CMAKE_CURRENT_LIST_DIR}/block_compressor.cpp
  ${CMAKE_CURRENT_LIST_DIR}/bzip2.cpp
  ${CMAKE_CURRENT_LIST_DIR}/compression.cpp
  ${CMAKE_CURRENT_LIST_DIR}/entry_policy.cpp
  ${CMAKE_CURRENT_LIST_DIR}/gunzip.cpp
  ${CMAKE_CURRENT_LIST_DIR}/gzip.cpp
  ${CMAKE_CURRENT_LIST_DIR}/parallel_tar_writer.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tar_encoder.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tar_feed.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tar_headers.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tar_reader.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tar_writer.cpp
  ${CMAKE_CURRENT_LIST_DIR}/xz.cpp
  ${CMAKE_CURRENT_LIST_DIR}/zstd.cpp
)

target_sources(layers PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/entry_policy.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tar_feed.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tar_headers.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tar_reader.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tar_writer.cpp
)

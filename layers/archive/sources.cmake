target_sources(layers PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/tar_entry.h
)

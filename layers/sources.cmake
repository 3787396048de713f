# Target `layers`: tars and compression (archive/), trees and changesets (snapshot/), and the stores.
add_library(layers STATIC)
target_link_libraries(layers
  PUBLIC oci base project_options
  PRIVATE thirdparty::archive thirdparty::deflate thirdparty::isal thirdparty::zstd thirdparty::bzip2
          thirdparty::lzma nlohmann_json::nlohmann_json)

include(${CMAKE_CURRENT_LIST_DIR}/archive/sources.cmake)
if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/snapshot/sources.cmake)
  include(${CMAKE_CURRENT_LIST_DIR}/snapshot/sources.cmake)
endif()

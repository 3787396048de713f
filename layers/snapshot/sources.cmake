# Trees and changesets (snapshot/), and the stores above them; part of target `layers`.
target_sources(layers PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/../blob_store.cpp
  ${CMAKE_CURRENT_LIST_DIR}/../store.cpp
  ${CMAKE_CURRENT_LIST_DIR}/whiteout.cpp
  ${CMAKE_CURRENT_LIST_DIR}/xattr_policy.cpp)

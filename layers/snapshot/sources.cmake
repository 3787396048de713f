# Trees and changesets (snapshot/), and the stores above them; part of target `layers`.
target_sources(layers PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/../blob_store.cpp
  ${CMAKE_CURRENT_LIST_DIR}/../image_layout.cpp
  ${CMAKE_CURRENT_LIST_DIR}/../image_store.cpp
  ${CMAKE_CURRENT_LIST_DIR}/../layer_record.cpp
  ${CMAKE_CURRENT_LIST_DIR}/../layer_store.cpp
  ${CMAKE_CURRENT_LIST_DIR}/../store.cpp
  ${CMAKE_CURRENT_LIST_DIR}/apply.cpp
  ${CMAKE_CURRENT_LIST_DIR}/copied_roots.cpp
  ${CMAKE_CURRENT_LIST_DIR}/diff.cpp
  ${CMAKE_CURRENT_LIST_DIR}/directory_stack.cpp
  ${CMAKE_CURRENT_LIST_DIR}/entry_copier.cpp
  ${CMAKE_CURRENT_LIST_DIR}/layer_directories.cpp
  ${CMAKE_CURRENT_LIST_DIR}/layer_onto_tree.cpp
  ${CMAKE_CURRENT_LIST_DIR}/layer_writer.cpp
  ${CMAKE_CURRENT_LIST_DIR}/mount_stack.cpp
  ${CMAKE_CURRENT_LIST_DIR}/node_maker.cpp
  ${CMAKE_CURRENT_LIST_DIR}/root_tree.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tree_changes.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tree_entries.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tree_equal.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tree_list.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tree_walk.cpp
  ${CMAKE_CURRENT_LIST_DIR}/upper_writer.cpp
  ${CMAKE_CURRENT_LIST_DIR}/whiteout.cpp
  ${CMAKE_CURRENT_LIST_DIR}/xattr_policy.cpp)

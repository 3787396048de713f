# Trees and changesets, and the stores above them; part of target `layers`.

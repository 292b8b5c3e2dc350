"""From a path, URL or array to a `SceneSource`: files, bands and metadata, without pixels."""

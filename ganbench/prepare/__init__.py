"""Images of one size made once from a source, kept in the cache and read from there ever after.

A prepared set is a folder ``<cache>/prepared/<name>-<resolution>-<key>/``::

    train.npy          uint8 [N, 3, R, R]
    train-labels.npy   int64 [N]
    held_out.npy       the same of the held-out split, where there is one
    held_out-labels.npy
    stamp.json         sizes and times of these files: while they hold, nobody has touched them
    manifest.json      what it is, with the sha256 of every chunk; written last: without it the set is not there

The key is made of what decides the pixels: the data set, its options, the resolution, the rule by which images
are brought to it, and the source's own key, which changes with the names, sizes and times of its files. While a
set is made, pixels are appended to ``<split>.npy.part`` a chunk at a time, and each chunk that is on the disk has
a line in ``<split>.jsonl``: a preparation that was killed goes on behind the last of them.
"""

"""Promises of speed, each held by a script: ``python tests/benchmarks/NAME.py``, or all by ``tox -e bench``.

A script times ours and a library's own way in turn, in one process, and prints a table with the median ratio of
the pairs and its quartiles (see ``pairs.py``). To add one, write ``tests/benchmarks/NAME.py`` that ends in
``report([compare(...)])``. None is a test: pytest collects nothing here, and nothing fails.
"""

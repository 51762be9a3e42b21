"""Promises of speed, each held by a script: ``python tests/benchmarks/NAME.py``, or all by ``tox -e bench``.

A script times ours and a library's own way in turn, in one process, and prints a row of a table with the
median ratio and its quartiles (see :mod:`pairs`). To add one, write ``tests/benchmarks/NAME.py`` that ends in
``report([compare(...)])`` and run it once more on an idle machine before believing it.
"""

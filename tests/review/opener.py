"""The type of the fixture ``opened``, which takes the options of `open_queue`."""

from collections.abc import Callable

from her2path.review import ReviewQueue

Opener = Callable[..., ReviewQueue]

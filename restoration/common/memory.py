"""Freed memory that stays with the process, so that the next tensor need not ask for it again.

glibc gives large blocks back to the system when they are freed. A network on a CPU allocates and
frees every activation, so that half of its time goes into empty pages: restormer_xs on an image of
321x481 pixels takes 1.8 s with glibc's defaults and 0.8 s without. What is free again stays with
the process until it ends, and holes between tensors cost memory too: the whole Restormer on
512x512 pixels takes 2.2 GB beyond what was held before, 1.3 GB with the defaults.
"""

import ctypes
import os
import platform

# Parameters of mallopt(3), as <malloc.h> numbers them.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
LARGEST_INT = 2**31 - 1


def keep_freed() -> bool:
    """Keep freed memory, where the C library is glibc and the user has not set it up otherwise.

    Returns:
        Whether it is done; not so on other systems, or with a MALLOC_... variable or GLIBC_TUNABLES
        in the environment.
    """
    own = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if own or platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    settings = {MMAP_THRESHOLD: 2**30, TRIM_THRESHOLD: LARGEST_INT, TOP_PAD: 2**27}
    return all(library.mallopt(name, value) for name, value in settings.items())

import os

import numpy

print(f"the sum is {numpy.arange(101).sum()}, computed by user {os.getuid()}")

"""Many runs: a driver that alone knows what is done, what goes on and what is tried again, over an executor
that only places work.
"""

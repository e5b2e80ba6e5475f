"""What is collected here."""

from importlib.util import find_spec

# arq needs an earlier redis than taskiq-redis: ``tox run -e arq`` has it.
collect_ignore = [] if find_spec("arq") else ["test_arq.py", "arq_jobs.py"]

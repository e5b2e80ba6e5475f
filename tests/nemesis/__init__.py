"""Breaks processes, links and stores while clients watch, and judges what they saw.

    python -m tests.nemesis --store sqlite|valkey --seconds 600 --seed 1

Three workers share one store. Clients start executions with keys, several at once and
again later; viewers follow them across cut connections; readers read ended ones again.
Meanwhile a schedule of faults, which the seed decides, kills, stops and rolls back
whatever there is. Afterwards the judge looks for what no fault excuses:

* a key that ran twice, or named two executions;
* a number that is missing, comes twice, or has other bytes the second time;
* an execution with no terminal event, with two, or with two different ones;
* a live writer whose execution was ended, a stream that never ends, a 204 or 404 for
  somebody who has not seen the end;
* a list that has an execution twice, lacks one that has ended and is kept, or says that
  it has ended otherwise;
* tasks, viewers or executions that are left when everything is over.

The schedule is the same for the same seed; what the processes make of it is not.
"""

LEASE = 3.0  # seconds, of every worker
RETENTION = 30.0  # seconds; longer than all outages that may follow one another

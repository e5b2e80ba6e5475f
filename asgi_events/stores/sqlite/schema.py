"""The tables of a ``SQLiteStore``, in one step for each version.

A new file takes all steps, and an older one those that it has not taken. So both have
the same tables, and nobody has to convert a file by hand.
"""

import sqlite3

APPLICATION_ID = 0x61736765  # "asge": this marks a file as ours

# A deleted log loses its key at once, and its frames later.
_LOGS = """
CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    key TEXT UNIQUE,
    writer TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 1,
    lease REAL NOT NULL,
    ttl REAL NOT NULL,
    alive_until REAL NOT NULL,
    watched_until REAL NOT NULL DEFAULT 0,
    last INTEGER NOT NULL DEFAULT 0,
    "end" TEXT,
    cancel INTEGER NOT NULL DEFAULT 0,
    meta TEXT NOT NULL
);
CREATE TABLE frame (
    log INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    frame BLOB NOT NULL,
    PRIMARY KEY (log, seq)
) WITHOUT ROWID
"""
# ``sign`` is the writer's last sign of life; ``suspected`` and ``asked`` are the two
# moments of ``rules.Suspicion``; frames before ``first`` are dropped. At ``due`` the
# housekeeper looks at a log: when it expires if it has ended by then, and at once when
# it was deleted. ``due`` does not change while a log is written, since each changed
# index costs the writer time.
_HOUSEKEEPING = """
ALTER TABLE log RENAME COLUMN alive_until TO sign;
ALTER TABLE log ADD COLUMN first INTEGER NOT NULL DEFAULT 1;
ALTER TABLE log ADD COLUMN ended REAL;
ALTER TABLE log ADD COLUMN suspected REAL;
ALTER TABLE log ADD COLUMN asked REAL;
ALTER TABLE log ADD COLUMN due REAL NOT NULL DEFAULT 0;
UPDATE log SET
    sign = sign - lease,
    ended = CASE WHEN "end" IS NOT NULL THEN sign - lease END,
    due = CASE WHEN key IS NOT NULL THEN sign + ttl ELSE 0 END;
CREATE INDEX log_due ON log (due);
CREATE TABLE inbox (
    writer TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (writer, key)
) WITHOUT ROWID;
CREATE TABLE housekeeper (name TEXT NOT NULL, heard REAL NOT NULL);
INSERT INTO housekeeper VALUES ('', 0)
"""
# ``created``, ``owner``, ``actor`` and ``thread`` are those of ``meta``; ``created`` is
# empty in a log that is not listed. ``log_owner`` has all that decides what is on a
# page. It is what a start and an end cost more; only threads pay for theirs.
#
# ``log_unknown`` has the logs that an earlier version has written, until a list fills
# these columns. So a process of the version before this one that has the file open goes
# on, and what it starts is listed.
_LIST = """
ALTER TABLE log ADD COLUMN created TEXT;
ALTER TABLE log ADD COLUMN owner TEXT;
ALTER TABLE log ADD COLUMN actor TEXT;
ALTER TABLE log ADD COLUMN thread TEXT;
CREATE INDEX log_owner ON log (owner, "end", created, key, actor) WHERE created > '';
CREATE INDEX log_thread ON log (thread, created) WHERE thread IS NOT NULL;
CREATE INDEX log_unknown ON log (id) WHERE created IS NULL AND key IS NOT NULL
"""
_STEPS = (_LOGS, _HOUSEKEEPING, _LIST)

VERSION = len(_STEPS)


def upgrade(db: sqlite3.Connection, version: int) -> None:
    """Take the steps after ``version``; call it within a transaction."""
    for step in _STEPS[version:]:
        for statement in step.split(";\n"):
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {VERSION}")

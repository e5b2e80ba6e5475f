-- Written by asgi_events at schema version 2, the clock at 1790000000.
PRAGMA journal_mode = WAL;
BEGIN TRANSACTION;
CREATE TABLE frame (
    log INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    frame BLOB NOT NULL,
    PRIMARY KEY (log, seq)
) WITHOUT ROWID
;
INSERT INTO "frame" VALUES(1,1,X'646174613A20300A0A');
INSERT INTO "frame" VALUES(1,2,X'646174613A20310A0A');
INSERT INTO "frame" VALUES(2,1,X'646174613A20300A0A');
INSERT INTO "frame" VALUES(3,1,X'646174613A20300A0A');
INSERT INTO "frame" VALUES(4,1,X'646174613A20300A0A');
INSERT INTO "frame" VALUES(5,1,X'646174613A20300A0A');
INSERT INTO "frame" VALUES(7,1,X'646174613A20300A0A');
INSERT INTO "frame" VALUES(8,1,X'646174613A20300A0A');
CREATE TABLE housekeeper (name TEXT NOT NULL, heard REAL NOT NULL);
INSERT INTO "housekeeper" VALUES('52b4d49717c5385a',0.0);
CREATE TABLE inbox (
    writer TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (writer, key)
) WITHOUT ROWID;
CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    key TEXT UNIQUE,
    writer TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 1,
    lease REAL NOT NULL,
    ttl REAL NOT NULL,
    sign REAL NOT NULL,
    watched_until REAL NOT NULL DEFAULT 0,
    last INTEGER NOT NULL DEFAULT 0,
    "end" TEXT,
    cancel INTEGER NOT NULL DEFAULT 0,
    meta TEXT NOT NULL
, first INTEGER NOT NULL DEFAULT 1, ended REAL, suspected REAL, asked REAL, due REAL NOT NULL DEFAULT 0);
INSERT INTO "log" VALUES(1,'running','w',29329494018414,15.0,600.0,1790000000.0,0.0,2,NULL,0,'{"actor": "research", "created": "2026-09-21T13:06:05.5+00:00", "fingerprint": "f", "owner": "ann", "thread": "t", "writer": "w-1", "lease": "15"}',1,NULL,NULL,NULL,1790000615.0);
INSERT INTO "log" VALUES(2,'completed','w',98617038437279,15.0,600.0,1790000000.0,0.0,1,'completed',0,'{"actor": "research", "created": "2026-09-21T13:06:03.5+00:00", "fingerprint": "f", "owner": "ann", "writer": "w-1", "lease": "15"}',1,1790000000.0,NULL,NULL,1790000615.0);
INSERT INTO "log" VALUES(3,'failed','w',219975336767234,15.0,600.0,1790000000.0,0.0,1,'failed',0,'{"actor": "research", "created": "2026-09-21T13:06:04.5+00:00", "fingerprint": "f", "writer": "w-1", "lease": "15"}',1,1790000000.0,NULL,NULL,1790000615.0);
INSERT INTO "log" VALUES(4,'unicode','w',12505104890920,15.0,600.0,1790000000.0,0.0,1,'cancelled',0,'{"actor": "chat", "created": "2026-09-21T13:06:02.5+00:00", "fingerprint": "f", "owner": "j\u00fcrgen \ud83d\ude00", "writer": "w-1", "lease": "15"}',1,1790000000.0,NULL,NULL,1790000615.0);
INSERT INTO "log" VALUES(5,NULL,'w',100787946778598,15.0,600.0,1790000000.0,0.0,1,NULL,0,'{"actor": "research", "created": "2026-09-21T13:06:06.5+00:00", "fingerprint": "f", "owner": "ann", "writer": "w-1", "lease": "15"}',1,NULL,NULL,NULL,0.0);
INSERT INTO "log" VALUES(6,'idempotency:1','w',103306925342610,15.0,600.0,1790000000.0,0.0,0,'w-1',0,'{"id": "running"}',1,1790000000.0,NULL,NULL,1790000615.0);
INSERT INTO "log" VALUES(7,'thread:1','w',277986304147250,15.0,600.0,1790000000.0,0.0,1,NULL,0,'{}',1,NULL,NULL,NULL,1790000615.0);
INSERT INTO "log" VALUES(8,'no-facts','w',69811285335794,15.0,600.0,1790000000.0,0.0,1,NULL,0,'{"actor": "research"}',1,NULL,NULL,NULL,1790000615.0);
CREATE INDEX log_due ON log (due);
COMMIT;
PRAGMA application_id = 1634953061;
PRAGMA user_version = 2;

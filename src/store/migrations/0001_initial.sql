-- Times are milliseconds since 1970 UTC; ids are UUIDs in their usual text form, so that a person with a SQL shell
-- can read and join them.

-- Who this store is, drawn at random when it was made; one row. Ids of crons from files, of runs and of threads derive
-- from it, so that two installations with equal files never share one.
CREATE TABLE installation (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    installation_id TEXT NOT NULL
) STRICT;

-- One row per version of a cron's definition: a run keeps to the version it was planned by.
-- Placeholders such as ${{ env.X }} are stored as written: no secret gets here.
CREATE TABLE definitions (
    definition_id TEXT PRIMARY KEY,
    cron_id       TEXT NOT NULL,
    body          TEXT NOT NULL CHECK (json_valid(body)),
    created_at    INTEGER NOT NULL,
    -- Whoever goes by a definition names its cron as well, and is found by that when one is to be forgotten.
    UNIQUE (cron_id, definition_id)
) STRICT;

CREATE TABLE crons (
    cron_id       TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    source        TEXT NOT NULL CHECK (source IN ('file', 'api')),
    -- `file:line:column` of the definition; NULL for a cron made through the API.
    location      TEXT,
    -- What the client asked for, as it is told again; NULL for a cron from a file.
    request       TEXT CHECK (request IS NULL OR json_valid(request)),
    definition_id TEXT NOT NULL,
    -- The last instant that is accounted for.
    cursor        INTEGER NOT NULL,
    -- While it is paused its occurrences are recorded as skipped.
    paused_at     INTEGER,
    pause_cause   TEXT CHECK (pause_cause IN ('request', 'failures')),
    pause_note    TEXT,
    -- 1: the next occurrence is skipped, once.
    skip_next     INTEGER NOT NULL DEFAULT 0 CHECK (skip_next IN (0, 1)),
    -- Runs in a row that ended as error or timeout.
    failures      INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    removed_at    INTEGER,
    CHECK ((paused_at IS NULL) = (pause_cause IS NULL)),
    CHECK ((source = 'api') = (request IS NOT NULL)),
    FOREIGN KEY (cron_id, definition_id) REFERENCES definitions (cron_id, definition_id)
) STRICT;
CREATE INDEX crons_by_name ON crons (name);

CREATE TABLE runs (
    run_id         TEXT PRIMARY KEY,
    -- NULL, all three: of no cron, a client asked for it (`client_runs`).
    cron_id        TEXT REFERENCES crons (cron_id),
    cron_name      TEXT,
    definition_id  TEXT,
    trigger        TEXT NOT NULL,
    scheduled_for  INTEGER NOT NULL,
    -- 0: the first run of its occurrence.
    retry          INTEGER NOT NULL DEFAULT 0,
    due_at         INTEGER NOT NULL,
    start_before   INTEGER NOT NULL,
    -- 1: never while another run of the same cron is going.
    exclusive      INTEGER NOT NULL CHECK (exclusive IN (0, 1)),
    phase          TEXT NOT NULL CHECK (phase IN ('pending', 'sending', 'unconfirmed', 'running', 'ended')),
    start_number   INTEGER NOT NULL,
    send_count     INTEGER NOT NULL DEFAULT 0,
    not_found_count INTEGER NOT NULL DEFAULT 0,
    -- When the runner is to act on it next; NULL while it is in hand, and when it is over.
    act_at         INTEGER,
    sent_at        INTEGER,
    thread_id      TEXT,
    backend_run_id TEXT,
    started_at     INTEGER,
    cancelling     TEXT,
    status         TEXT,
    -- Why it is as it is: a code for programs, and a sentence for people.
    reason_code    TEXT,
    reason         TEXT,
    error          TEXT CHECK (error IS NULL OR json_valid(error)),
    outcome_values TEXT CHECK (outcome_values IS NULL OR json_valid(outcome_values)),
    ended_at       INTEGER,
    -- A record of missed or paused occurrences covers a range: how many, and the last of them.
    occurrences    INTEGER NOT NULL DEFAULT 1,
    last_scheduled_for INTEGER,
    CHECK ((phase = 'ended') = (status IS NOT NULL AND ended_at IS NOT NULL)),
    CHECK ((cron_id IS NULL) = (cron_name IS NULL) AND (cron_id IS NULL) = (definition_id IS NULL)),
    UNIQUE (cron_id, scheduled_for, retry),
    FOREIGN KEY (cron_id, definition_id) REFERENCES definitions (cron_id, definition_id)
) STRICT;
CREATE INDEX runs_to_act_on ON runs (act_at) WHERE act_at IS NOT NULL;
CREATE INDEX runs_in_progress ON runs (cron_id, phase) WHERE phase <> 'ended';
CREATE INDEX runs_on_backend ON runs (cron_id) WHERE phase IN ('sending', 'unconfirmed', 'running');
CREATE INDEX runs_to_cancel ON runs (act_at) WHERE phase = 'pending' AND cancelling IS NOT NULL;
CREATE INDEX runs_to_start ON runs (start_before) WHERE phase = 'pending';
CREATE INDEX runs_by_time ON runs (scheduled_for);

-- What clients have asked of the agent server through us, as far as we must know: not what the run was given.
CREATE TABLE client_runs (
    run_id           TEXT PRIMARY KEY REFERENCES runs (run_id) ON DELETE CASCADE,
    assistant_id     TEXT NOT NULL,
    -- NULL: the agent server makes a thread for it.
    thread_id        TEXT,
    on_run_completed TEXT NOT NULL CHECK (on_run_completed IN ('delete', 'keep')),
    webhook          TEXT NOT NULL
) STRICT;

-- What happened to a run between being due and its end, beyond the usual.
CREATE TABLE run_events (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    at     INTEGER NOT NULL,
    event  TEXT NOT NULL,
    detail TEXT
) STRICT;
CREATE INDEX run_events_by_run ON run_events (run_id);

CREATE TABLE deliveries (
    delivery_id TEXT PRIMARY KEY,
    run_id      TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    url         TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('pending', 'sending', 'delivered', 'failed', 'gone', 'aborted',
                                                'blocked', 'suppressed')),
    attempts    INTEGER NOT NULL DEFAULT 0,
    -- How many of them do not count on the ladder: those before it was last replayed, and those that were called back
    -- before anything was written.
    uncounted INTEGER NOT NULL DEFAULT 0,
    -- When the next attempt is due; NULL while one is in hand, and when it is over.
    due_at      INTEGER,
    reason_code TEXT,
    reason      TEXT,
    created_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    -- Its URL up to the end of the host: whatever has the same text here goes to the same origin, so that if one is
    -- refused a place the others need not be looked at.
    receiver    TEXT NOT NULL GENERATED ALWAYS AS (
        CASE instr(url, '://') WHEN 0 THEN url ELSE
        substr(url, 1, instr(url, '://') + 2 + instr(substr(url, instr(url, '://') + 3) || '/', '/')) END
    ) STORED,
    -- The exact bytes of every attempt; last, so that what comes before it is read without it.
    body        BLOB NOT NULL,
    UNIQUE (run_id, url)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_by_receiver ON deliveries (receiver, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_by_time ON deliveries (created_at);
CREATE INDEX deliveries_sending ON deliveries (status) WHERE status = 'sending';
CREATE INDEX deliveries_suppressed ON deliveries (created_at) WHERE status = 'suppressed';

CREATE TABLE attempts (
    delivery_id TEXT NOT NULL REFERENCES deliveries (delivery_id) ON DELETE CASCADE,
    attempt     INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    -- The HTTP status, if there was an answer.
    code        INTEGER,
    detail      TEXT,
    -- Where it was sent to, and the beginning of what a receiver answered that did not accept it.
    address     TEXT,
    answer      TEXT,
    -- What its time went into, in milliseconds; the first three are NULL if a connection could be used again.
    lookup_ms   INTEGER,
    connect_ms  INTEGER,
    tls_ms      INTEGER,
    -- From its beginning until the head of the answer was there.
    head_ms     INTEGER,
    PRIMARY KEY (delivery_id, attempt)
) STRICT, WITHOUT ROWID;

-- How webhooks flow as a whole; one row.
CREATE TABLE delivery_mode (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    -- Since when the configuration disables them.
    disabled_at INTEGER,
    -- Since when they are held on request, and why.
    held_at     INTEGER,
    note        TEXT,
    -- When they were released at a rate, which holds until nothing waits any more that was due by then.
    released_at INTEGER,
    per_second  INTEGER,
    CHECK (held_at IS NULL OR released_at IS NULL),
    CHECK ((released_at IS NULL) = (per_second IS NULL))
) STRICT;
INSERT INTO delivery_mode (one) VALUES (1);

-- URLs (placeholders still in them) whose receiver has said that they are gone: nothing is sent there until they are
-- armed again.
CREATE TABLE suspended_urls (
    url         TEXT PRIMARY KEY,
    since       INTEGER NOT NULL,
    -- What the receiver said, and to which delivery.
    detail      TEXT NOT NULL,
    delivery_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Threads to be deleted on the agent server: of stateless runs that are over, and fenced ones.
CREATE TABLE thread_deletions (
    thread_id TEXT PRIMARY KEY,
    run_id    TEXT NOT NULL,
    due_at    INTEGER NOT NULL,
    failures  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX thread_deletions_due ON thread_deletions (due_at);

-- What the daemon has to say of itself: the last of each kind.
CREATE TABLE notices (
    kind   TEXT PRIMARY KEY CHECK (kind IN ('configuration', 'clock_step', 'listen')),
    at     INTEGER NOT NULL,
    detail TEXT NOT NULL
) STRICT;

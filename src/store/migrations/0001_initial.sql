-- Times are milliseconds since 1970-01-01T00:00:00Z. Ids are UUIDs in their usual text form, so that they can
-- be read and joined in an SQL shell.

-- The random id that this store got when it was created; one row. The ids of crons from files derive from it,
-- and so do the ids of their runs and threads, so that two installations with the same files never share an id.
CREATE TABLE installation (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    installation_id TEXT NOT NULL,
    -- Counts how often the store has gone back to an earlier state, which nothing in it can tell: a failover that loses the
    -- last commits, or a backup that is restored.
    timeline        INTEGER NOT NULL DEFAULT 0,
    -- Which history of its server it was on last, as a failover begins a new one; NULL in a file.
    server_history  TEXT,
    -- When the daemon made its last backup by itself.
    backed_up_at    INTEGER
) STRICT;

-- Who has shown who they are to the web page. A token is here as a digest only; that of the holder of a key depends on the key as
-- well, so that the session ends when the key changes.
CREATE TABLE page_sessions (
    digest  TEXT PRIMARY KEY,
    -- The user of this machine who came by `agentcron open`, if that is known.
    uid     INTEGER,
    used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The times of which the store knows nothing since it went back: occurrences after `since` and up to `at` may have runs on the
-- agent server. If nothing of them is started, as after a restored backup, both are the same.
CREATE TABLE failovers (
    timeline INTEGER PRIMARY KEY,
    since    INTEGER NOT NULL,
    at       INTEGER NOT NULL
) STRICT;

-- The daemons that have had this store, the last ones only: one row for each start of a process. Runs on the agent server
-- bear the id of the daemon that sent them: one that is not here was sent with a copy of this store.
CREATE TABLE daemons (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    daemon_id  TEXT NOT NULL,
    -- Its machine, its process there, and what runs in it.
    host       TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    version    TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    -- Its last sign of life, which every commit renews.
    seen_at    INTEGER NOT NULL,
    -- When it began to end in good order; NULL until then, and if it was killed.
    stopped_at INTEGER,
    -- When it had handed over what it held then; NULL until that, and always for one that has the store alone.
    left_at    INTEGER,
    -- When what it held was recovered; NULL while it may hold something.
    recovered_at INTEGER,
    -- What it says about itself where several share the store; NULL until it has. The generation that its files are, if they
    -- are one, the settings that should be the same everywhere, the names of values that it lacks, and how often it has said so.
    files        INTEGER,
    settings     TEXT,
    missing_env  TEXT,
    published    INTEGER NOT NULL DEFAULT 0
) /*: WITH (fillfactor = 20) */ STRICT;

-- The generations of configuration files that daemons that share the store have adopted; the last ones only. The one in force
-- has the highest number. A digest may be here twice, if somebody went back to former files.
CREATE TABLE generations (
    number   INTEGER PRIMARY KEY,
    -- Of the definitions that were understood, placeholders not filled, and of `settings`.
    digest   TEXT NOT NULL,
    adopted_at INTEGER NOT NULL,
    -- Who adopted it. The daemon's own row may be gone.
    daemon   INTEGER NOT NULL,
    host     TEXT NOT NULL,
    -- What it says for every daemon, besides the crons.
    settings TEXT NOT NULL CHECK (json_valid(settings))
) STRICT;
CREATE INDEX generations_by_digest ON generations (digest);

-- The times in which something that the daemon depends on was away, or the daemon itself; the last ones only.
CREATE TABLE outages (
    what    TEXT NOT NULL CHECK (what IN ('backend', 'access', 'receiver', 'disk', 'store', 'daemon', 'record')),
    -- Which receiver it was: scheme and host of its URL, and the path if only that URL was away; empty for everything else.
    subject TEXT NOT NULL,
    since   INTEGER NOT NULL,
    -- NULL while it lasts.
    until   INTEGER,
    why     TEXT NOT NULL,
    -- Which daemon saw it, and on which machine that runs, if several share the store; 0 and empty otherwise, and of what was
    -- the matter with all of them.
    daemon  INTEGER NOT NULL DEFAULT 0,
    host    TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (what, subject, since, daemon)
) STRICT, WITHOUT ROWID;
CREATE INDEX outages_by_time ON outages (since);
CREATE INDEX outages_by_end ON outages (coalesce(until, 9223372036854775807));

-- One row for each version of a cron's definition. A run keeps the version that it was planned with.
-- Placeholders such as ${{ env.X }} are stored as written, so no secret of the daemon's environment is stored here.
CREATE TABLE definitions (
    definition_id TEXT PRIMARY KEY,
    cron_id       TEXT NOT NULL,
    body          TEXT NOT NULL CHECK (json_valid(body)),
    -- When it was added; if it came into force since, the last time that it did.
    created_at    INTEGER NOT NULL,
    -- The foreign keys refer to this pair: every row that refers to a definition also names its cron, so that
    -- housekeeping can find those rows by an index on the cron before it deletes a definition.
    UNIQUE (cron_id, definition_id)
) STRICT;

CREATE TABLE crons (
    -- The order in which rows were added.
    seq           INTEGER PRIMARY KEY,
    cron_id       TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    source        TEXT NOT NULL CHECK (source IN ('file', 'api')),
    -- `file:line:column` of the definition, or NULL for a cron that was created through the API.
    location      TEXT,
    -- The request that created the cron through the API, as clients get it back, or NULL for a cron from a
    -- file.
    request       TEXT CHECK (request IS NULL OR json_valid(request)),
    definition_id TEXT NOT NULL,
    -- The definition that was in force after `cursor`, if the cron was edited or removed and what that definition left undecided
    -- is not accounted for yet; NULL otherwise, which is usual.
    former_definition_id TEXT,
    -- `enabled` of the definition.
    enabled       INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    -- Every occurrence up to and including this instant has been decided.
    cursor        INTEGER NOT NULL,
    -- When the cron is planned next: at its next occurrence; 0 if that is to be computed anew, NULL if there is none. A removed
    -- cron has one as long as there is a `former_definition_id`.
    next_at       INTEGER DEFAULT 0,
    -- When the cron was paused, or NULL if it is not paused. Occurrences after that instant are recorded as
    -- skipped.
    paused_at     INTEGER,
    pause_cause   TEXT CHECK (pause_cause IN ('request', 'failures')),
    pause_note    TEXT,
    -- When the pause ends, or ended, by itself; NULL if somebody has to end it. Such a pause stays here when it is over, and counts
    -- again if the clock is set back before its end.
    paused_until  INTEGER,
    -- 1 if it is on record that it has ended.
    pause_ended   INTEGER NOT NULL DEFAULT 0 CHECK (pause_ended IN (0, 1)),
    -- 1 if the next occurrence will be skipped on request.
    skip_next     INTEGER NOT NULL DEFAULT 0 CHECK (skip_next IN (0, 1)),
    -- The turn of the latest run of this cron (`turns`).
    turn          INTEGER NOT NULL DEFAULT 0,
    -- How many runs in a row have ended as error or timeout. Runs whose end says nothing about the cron, such as those
    -- that an outage kept from starting, are passed over.
    failures      INTEGER NOT NULL DEFAULT 0,
    -- When the first of them ended, or NULL if there are none.
    failing_since INTEGER,
    -- When it worked again after it had failed.
    recovered_at  INTEGER,
    -- Of the records that retention has deleted, the last instant that one stood for; NULL while none is deleted. Whether
    -- an instant up to then has run is not known any more, so none is decided about anew.
    history_deleted_until INTEGER,
    -- When its last run ended that is not retried, and its last run that succeeded; NULL if there was none. They are here and
    -- not read from `runs` because they stay when the history is deleted.
    last_run_at   INTEGER,
    last_success_at INTEGER,
    created_at    INTEGER NOT NULL,
    -- When it was added, or its definition changed.
    updated_at    INTEGER NOT NULL,
    removed_at    INTEGER,
    CHECK ((paused_at IS NULL) = (pause_cause IS NULL)),
    CHECK ((source = 'api') = (request IS NOT NULL)),
    FOREIGN KEY (cron_id, definition_id) REFERENCES definitions (cron_id, definition_id),
    FOREIGN KEY (cron_id, former_definition_id) REFERENCES definitions (cron_id, definition_id)
-- The end of each run writes into the row of its cron: where there is room beside it, PostgreSQL need not touch an index for that.
) /*: WITH (fillfactor = 50) */ STRICT;
CREATE INDEX crons_by_name ON crons (name);
-- An index of SQLite goes on with the order of the rows by itself.
CREATE INDEX crons_due ON crons (source, next_at /*: , seq */) WHERE next_at IS NOT NULL;
-- No run of a cron that works changes what these two are about.
CREATE INDEX crons_failing ON crons (cron_id) WHERE failures > 0;
CREATE INDEX crons_paused ON crons (cron_id) WHERE paused_at IS NOT NULL;
CREATE INDEX crons_by_deleted_history ON crons (history_deleted_until) WHERE history_deleted_until IS NOT NULL;
CREATE INDEX crons_ended ON crons (cron_id) WHERE next_at IS NULL AND removed_at IS NULL;

-- What tells the rules of the time zones, by which crons were planned, from others, and the version of the program.
CREATE TABLE zone_rules (
    zone  TEXT PRIMARY KEY,
    rules TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- When a cron had no occurrences: it was disabled, or removed until it came back.
CREATE TABLE inactive_spans (
    cron_id TEXT NOT NULL REFERENCES crons (cron_id) ON DELETE CASCADE,
    cause   TEXT NOT NULL CHECK (cause IN ('disabled', 'removed')),
    since   INTEGER NOT NULL,
    -- NULL while it lasts.
    until   INTEGER,
    PRIMARY KEY (cron_id, since)
) STRICT, WITHOUT ROWID;

-- Waiting runs are sent by turns, so that a cron with many waiting runs delays no other cron of its source by
-- more than one run at a time. This is the highest turn of which a run was sent.
CREATE TABLE turns (
    source TEXT PRIMARY KEY CHECK (source IN ('file', 'api')),
    turn   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO turns (source, turn) VALUES ('file', 0), ('api', 0);

CREATE TABLE runs (
    -- The order in which rows were added.
    seq            INTEGER PRIMARY KEY,
    run_id         TEXT NOT NULL UNIQUE,
    -- These four are NULL for a run that a client started (`client_runs`).
    cron_id        TEXT REFERENCES crons (cron_id),
    cron_name      TEXT,
    cron_source    TEXT CHECK (cron_source IN ('file', 'api')),
    definition_id  TEXT,
    trigger        TEXT NOT NULL,
    scheduled_for  INTEGER NOT NULL,
    -- 0 for the first run of its occurrence.
    retry          INTEGER NOT NULL DEFAULT 0,
    -- When the first run of its occurrence started, for a run that retries one by itself.
    first_started_at INTEGER,
    -- 1 if its definition is none of its cron's: a person gave it an input of its own, which no edit changes.
    own_definition INTEGER NOT NULL DEFAULT 0 CHECK (own_definition IN (0, 1)),
    -- `scheduled_for` plus jitter; for a backfilled run, when it was requested.
    due_at         INTEGER NOT NULL,
    -- The start deadline: if the run still waits to be sent then, it ends as error.
    start_before   INTEGER NOT NULL,
    -- 1 if the run must not be sent while another run of the same cron is in progress.
    exclusive      INTEGER NOT NULL CHECK (exclusive IN (0, 1)),
    -- Of the waiting runs of one source, those with the lowest turn are sent first (`turns`).
    turn           INTEGER NOT NULL DEFAULT 0,
    -- Written with OR, here and in indexes, because SQLite makes a temporary table of a longer list at every write.
    phase          TEXT NOT NULL CHECK (phase = 'pending' OR phase = 'sending' OR phase = 'unconfirmed' OR phase = 'running'
                                        OR phase = 'ended'),
    -- The number of the latest start, counted from 1. A start is sent again under the same number if it
    -- certainly did not reach the agent server.
    start_number   INTEGER NOT NULL,
    -- How many starts after this one may have been sent as well, while the run is unconfirmed.
    starts_ahead   INTEGER NOT NULL DEFAULT 0,
    -- How often the run was sent.
    send_count     INTEGER NOT NULL DEFAULT 0,
    -- How many reconciliations in a row could not yet tell whether the latest start reached the agent server.
    not_found_count INTEGER NOT NULL DEFAULT 0,
    -- When a runner acts on the run next; NULL after it has ended, and while it is held, unless its holder is to look at it.
    act_at         INTEGER,
    -- Which daemon has claimed the run, and how often it was claimed: what a daemon says about a run counts only as long as
    -- both are as they were when it claimed the run.
    held_by        INTEGER,
    claim          INTEGER NOT NULL DEFAULT 0,
    -- When the daemon recovered it from a former one, while it may be on the agent server and has not been looked at since.
    recovered_at   INTEGER,
    -- When the latest start was sent; NULL while the run waits to be sent.
    sent_at        INTEGER,
    thread_id      TEXT,
    backend_run_id TEXT,
    started_at     INTEGER,
    cancelling     TEXT,
    status         TEXT,
    -- The reason for the state: a code for programs and a human-readable sentence.
    reason_code    TEXT,
    reason         TEXT,
    error          TEXT CHECK (error IS NULL OR json_valid(error)),
    -- When it ended, by the agent server's account of how long it took, and when we learnt of it: NULL for what never ran.
    ended_at       INTEGER,
    learnt_at      INTEGER,
    -- One record can cover a range of missed or paused occurrences, of which `scheduled_for` is the first: how
    -- many occurrences it counts, and the last of them, which is NULL for a run.
    occurrences    INTEGER NOT NULL DEFAULT 1,
    last_scheduled_for INTEGER,
    -- What the graph returned, and the questions at which it stopped. These columns are the last, so that SQLite can read
    -- the others without them.
    outcome_values TEXT CHECK (outcome_values IS NULL OR json_valid(outcome_values)),
    outcome_interrupts TEXT CHECK (outcome_interrupts IS NULL OR json_valid(outcome_interrupts)),
    CHECK ((phase = 'ended') = (status IS NOT NULL AND ended_at IS NOT NULL)),
    CHECK (phase = 'ended' OR (phase = 'pending') = (sent_at IS NULL)),
    CHECK (iif(phase = 'ended', act_at IS NULL AND held_by IS NULL, act_at IS NOT NULL OR held_by IS NOT NULL)),
    CHECK ((cron_id IS NULL) = (cron_name IS NULL) AND (cron_id IS NULL) = (definition_id IS NULL)
           AND (cron_id IS NULL) = (cron_source IS NULL)),
    UNIQUE (cron_id, scheduled_for, retry),
    FOREIGN KEY (cron_id, definition_id) REFERENCES definitions (cron_id, definition_id)
) STRICT;
CREATE INDEX runs_to_act_on ON runs (act_at) WHERE act_at IS NOT NULL;
CREATE INDEX runs_retried ON runs (cron_id) WHERE phase = 'pending' AND retry > 0;
CREATE INDEX runs_in_progress ON runs (cron_id, phase) WHERE phase <> 'ended';
CREATE INDEX runs_to_check ON runs (act_at) WHERE act_at IS NOT NULL AND (phase = 'unconfirmed' OR phase = 'running');
-- In words that do not change when the agent server accepts a run.
CREATE INDEX runs_on_backend ON runs (cron_source) WHERE sent_at IS NOT NULL AND ended_at IS NULL;
CREATE INDEX runs_by_turn ON runs (cron_source, turn, act_at /*: , seq */) WHERE phase = 'pending';
CREATE INDEX runs_to_cancel ON runs (act_at) WHERE phase = 'pending' AND cancelling IS NOT NULL;
CREATE INDEX runs_to_start ON runs (start_before) WHERE phase = 'pending';
CREATE INDEX runs_by_time ON runs (scheduled_for);
-- A run that succeeds is in the first of these only. The others find what is unusual, however rare it is.
CREATE INDEX runs_succeeded ON runs (ended_at) WHERE status = 'success';
CREATE INDEX runs_unsuccessful ON runs (status, ended_at, occurrences) WHERE status <> 'success';
CREATE INDEX runs_by_status ON runs (status, scheduled_for) WHERE status <> 'success';
CREATE INDEX runs_by_reason ON runs (reason_code, scheduled_for) WHERE reason_code IS NOT NULL;
CREATE INDEX runs_by_trigger ON runs (trigger, scheduled_for) WHERE trigger <> 'schedule';
CREATE INDEX runs_again ON runs (coalesce(ended_at, 9223372036854775807)) WHERE retry > 0;
CREATE INDEX runs_with_own_definition ON runs (cron_id, definition_id) WHERE own_definition = 1;
CREATE INDEX runs_never_started ON runs (cron_id, scheduled_for) WHERE last_scheduled_for IS NOT NULL;

-- Runs that clients start at the agent server through agentcron. Only what agentcron needs is stored: the input
-- of the run is not.
CREATE TABLE client_runs (
    run_id           TEXT PRIMARY KEY REFERENCES runs (run_id) ON DELETE CASCADE,
    assistant_id     TEXT NOT NULL,
    -- NULL if the agent server creates a thread for the run.
    thread_id        TEXT,
    on_run_completed TEXT NOT NULL CHECK (on_run_completed IN ('delete', 'keep')),
    webhook          TEXT NOT NULL
) STRICT;

-- What happened to a run, beyond the usual, between the instant when it was due and its end.
CREATE TABLE run_events (
    seq    INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    at     INTEGER NOT NULL,
    event  TEXT NOT NULL,
    detail TEXT
) STRICT;
CREATE INDEX run_events_by_run ON run_events (run_id);

CREATE TABLE deliveries (
    -- The order in which rows were added.
    seq         INTEGER PRIMARY KEY,
    delivery_id TEXT NOT NULL UNIQUE,
    -- NULL for a notification, whose URL is notify://NAME: where the target of that name is, the daemon knows.
    run_id      TEXT REFERENCES runs (run_id) ON DELETE CASCADE,
    url         TEXT NOT NULL,
    -- A list with IN would be built anew at every write; so would one in the condition of an index.
    status      TEXT NOT NULL CHECK (
        status = 'delivered' OR status = 'sending' OR status = 'pending' OR status = 'failed' OR status = 'gone'
        OR status = 'aborted' OR status = 'blocked' OR status = 'suppressed'),
    -- How many attempts have begun. The latest one has this number.
    attempts    INTEGER NOT NULL DEFAULT 0,
    -- How many of them do not count on the retry schedule: those before the latest replay, those that were withdrawn
    -- before anything was sent, and those that were made before their turn.
    uncounted   INTEGER NOT NULL DEFAULT 0,
    -- When the next attempt is due; NULL while the delivery is claimed, and after it has ended.
    due_at      INTEGER,
    -- When the attempt in flight began; NULL if none is.
    sending_since INTEGER,
    -- Which daemon makes that attempt; NULL while none does.
    held_by     INTEGER,
    reason_code TEXT,
    reason      TEXT,
    created_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    -- Whether a client chose the URL, and not the author of a file.
    of_client   INTEGER NOT NULL DEFAULT 0 CHECK (of_client IN (0, 1)),
    -- The URL up to and including the first slash after its host, with placeholders as written, apart for clients
    -- and for files. Deliveries with the same text here wait for the same permits. So if one of them gets none, the
    -- others need not be considered. A generated column would be computed at every write.
    receiver    TEXT NOT NULL,
    -- 0 if the body goes with the end of the delivery.
    keeps_body  INTEGER NOT NULL DEFAULT 1 CHECK (keeps_body IN (0, 1)),
    -- The exact bytes that every attempt sends; NULL once they are deleted. This column is the last, so that SQLite can
    -- read the others without it.
    body        BLOB,
    CHECK (body IS NOT NULL OR ended_at IS NOT NULL),
    UNIQUE (run_id, url)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_by_receiver ON deliveries (receiver, due_at /*: , seq */) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_by_url ON deliveries (receiver, url, due_at /*: , seq */) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_by_time ON deliveries (created_at);
-- No webhook is in it.
CREATE INDEX deliveries_of_notifications ON deliveries (url, created_at) WHERE run_id IS NULL;
CREATE INDEX deliveries_sending ON deliveries (status) WHERE status = 'sending';
CREATE INDEX deliveries_not_delivered ON deliveries (status, created_at)
    WHERE status <> 'delivered' AND status <> 'sending' AND status <> 'pending';

-- What has ended, counted by hour and by day. These rows stay when the runs themselves are deleted: those of a day for good,
-- those of an hour for three days. Each daemon adds to rows of its own, so that several never wait for one another.
CREATE TABLE cron_hours (
    -- Hours, or days of UTC, since 1970.
    hour        INTEGER NOT NULL,
    -- Empty for runs that clients started.
    cron_id     TEXT NOT NULL,
    status      TEXT NOT NULL,
    -- Empty if there is none.
    reason_code TEXT NOT NULL,
    -- How long the runs took: the class 4 log2(milliseconds), or -1 for what did not run or of which that is not known.
    took        INTEGER NOT NULL,
    daemon      INTEGER NOT NULL,
    -- Runs that took place, and occurrences that ended: a run that is retried ends none.
    runs        INTEGER NOT NULL,
    occurrences INTEGER NOT NULL,
    -- Runs that began over a minute late.
    late        INTEGER NOT NULL,
    PRIMARY KEY (hour, cron_id, status, reason_code, took, daemon)
) STRICT, WITHOUT ROWID;
CREATE TABLE cron_days (
    day         INTEGER NOT NULL,
    cron_id     TEXT NOT NULL,
    status      TEXT NOT NULL,
    reason_code TEXT NOT NULL,
    took        INTEGER NOT NULL,
    daemon      INTEGER NOT NULL,
    runs        INTEGER NOT NULL,
    occurrences INTEGER NOT NULL,
    late        INTEGER NOT NULL,
    PRIMARY KEY (day, cron_id, status, reason_code, took, daemon)
) STRICT, WITHOUT ROWID;

-- What retention has deleted of the last day, by the minute in which it ended or was made: `status` counts it all the same.
CREATE TABLE deleted_lately (
    minute INTEGER NOT NULL,
    what   TEXT NOT NULL CHECK (what IN ('occurrence', 'webhook')),
    status TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (minute, what, status)
) STRICT, WITHOUT ROWID;

-- The webhook of a run that failed and whose occurrence gets a further run. It becomes a delivery if that run never
-- takes place, and is deleted when that run has ended.
CREATE TABLE owed_webhooks (
    run_id TEXT PRIMARY KEY REFERENCES runs (run_id) ON DELETE CASCADE,
    url    TEXT NOT NULL,
    -- As that of the delivery.
    keeps_body INTEGER NOT NULL DEFAULT 1 CHECK (keeps_body IN (0, 1)),
    body   BLOB NOT NULL
) STRICT;

-- The attempts that have ended. One in flight is in the row of its delivery.
CREATE TABLE attempts (
    -- The `seq` of the delivery, so that attempts made at the same time are beside one another.
    delivery    INTEGER NOT NULL REFERENCES deliveries (seq) ON DELETE CASCADE,
    attempt     INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL,
    -- The HTTP status, or NULL if the receiver did not answer.
    code        INTEGER,
    -- What happened; NULL if the receiver accepted the webhook.
    detail      TEXT,
    -- The address and port that the receiver answered from.
    address     TEXT,
    -- The beginning of an answer that did not accept the webhook.
    answer      TEXT,
    -- How long the phases took, in milliseconds; NULL if the receiver did not answer. The first three are also
    -- NULL if the attempt used a connection that was open already, the first for a literal address, and the
    -- third for plain HTTP.
    lookup_ms   INTEGER,
    connect_ms  INTEGER,
    tls_ms      INTEGER,
    -- From the beginning of the attempt until the head of the answer had arrived.
    head_ms     INTEGER,
    PRIMARY KEY (delivery, attempt)
) STRICT, WITHOUT ROWID;

-- The sections of the main file as they were when they were last understood, as written: no secret is in them.
CREATE TABLE last_good_sections (
    section TEXT PRIMARY KEY,
    body    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What people, clients and the daemon itself have done that changed something; the last ones only. Each row is written in the
-- transaction of its act. It refers to nothing, because it outlives what it is about.
CREATE TABLE acts (
    seq         INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    what        TEXT NOT NULL,
    actor_kind  TEXT NOT NULL,
    -- NULL if there is only one actor of this kind, or if it is not known.
    actor_name  TEXT,
    -- What it was done to; NULL for what it was not, such as all webhooks.
    cron_id     TEXT,
    -- The name of the cron at that time.
    cron_name   TEXT,
    run_id      TEXT,
    delivery_id TEXT,
    -- What the person wrote, or what the act came to.
    note        TEXT
) STRICT;
CREATE INDEX acts_by_time ON acts (at);
CREATE INDEX acts_by_cron ON acts (cron_id, at) WHERE cron_id IS NOT NULL;
CREATE INDEX acts_by_run ON acts (run_id) WHERE run_id IS NOT NULL;

-- The times in which all crons were paused on request; the last ones only. One that is over still says what becomes of the
-- occurrences of crons that no daemon has planned since.
CREATE TABLE pauses_of_all (
    since INTEGER PRIMARY KEY,
    -- When it ends, or ended; NULL if it lasts until somebody ends it.
    until INTEGER,
    note  TEXT,
    -- How it ended, once that is on record: by itself, at `until`, or on request.
    ended TEXT CHECK (ended IN ('time', 'request')),
    CHECK (ended IS NULL OR until IS NOT NULL)
) STRICT;
CREATE INDEX pauses_of_all_lasting ON pauses_of_all (since) WHERE ended IS NULL;

-- How all webhooks are sent; one row.
CREATE TABLE delivery_mode (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    -- When the daemon first found them disabled in the configuration; NULL while they are enabled.
    disabled_at INTEGER,
    -- When they were held on request, and why; NULL while they are not held.
    held_at     INTEGER,
    note        TEXT,
    -- Since when a mistake in the configuration may concern them, which holds them as well; NULL if none may.
    mistakes_at INTEGER,
    -- When they were released at a rate. The rate applies until none of the deliveries that were due by then
    -- is left.
    released_at INTEGER,
    -- The rate: how many attempts may begin in a second.
    per_second  INTEGER,
    CHECK (held_at IS NULL OR released_at IS NULL),
    CHECK ((released_at IS NULL) = (per_second IS NULL))
) STRICT;
INSERT INTO delivery_mode (one) VALUES (1);

-- URLs, with placeholders as written, whose receiver has said that they are gone. Nothing is sent to such a URL
-- until deliveries to it are resumed.
CREATE TABLE suspended_urls (
    url         TEXT PRIMARY KEY,
    since       INTEGER NOT NULL,
    -- What the receiver answered, and to which delivery.
    detail      TEXT NOT NULL,
    delivery_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Threads to delete on the agent server: those of stateless runs that have ended and do not keep their thread,
-- and those on which a fence has shown that a start never happens.
CREATE TABLE thread_deletions (
    thread_id TEXT PRIMARY KEY,
    run_id    TEXT NOT NULL,
    due_at    INTEGER NOT NULL,
    -- Which daemon deletes it now, and how often that was begun; NULL while none does.
    held_by   INTEGER,
    claim     INTEGER NOT NULL DEFAULT 0,
    failures  INTEGER NOT NULL DEFAULT 0,
    -- 1 if the agent server refused us the last time.
    denied    INTEGER NOT NULL DEFAULT 0 CHECK (denied IN (0, 1))
) STRICT;
CREATE INDEX thread_deletions_due ON thread_deletions (due_at) WHERE held_by IS NULL;
CREATE INDEX thread_deletions_held ON thread_deletions (held_by) WHERE held_by IS NOT NULL;

-- What people were notified of last, of each thing of which they were told. What is so now is compared with it.
CREATE TABLE announced (
    kind       TEXT NOT NULL,
    -- The id of a cron, or what else tells it from others of its kind.
    subject    TEXT NOT NULL,
    name       TEXT NOT NULL,
    -- 1 if the last message was that it is so, 0 if that it is over.
    holds      INTEGER NOT NULL CHECK (holds IN (0, 1)),
    since      INTEGER NOT NULL,
    announced_at INTEGER NOT NULL,
    -- How many messages about it followed one another closely.
    burst      INTEGER NOT NULL,
    -- The last of its beginnings that was seen, and how many no message was about.
    seen_since INTEGER NOT NULL,
    unsaid     INTEGER NOT NULL,
    -- The notification of its beginning.
    incident   TEXT NOT NULL,
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;

-- Notices of the daemon about itself: the last of each kind, and of each daemon if several share the store.
CREATE TABLE notices (
    kind   TEXT NOT NULL CHECK (kind IN ('store_copy', 'configuration', 'clock_step', 'backup', 'listen', 'files', 'settings',
                                         'restart')),
    at     INTEGER NOT NULL,
    detail TEXT NOT NULL,
    -- How many mistakes or events it lists.
    count  INTEGER NOT NULL,
    -- As of outages.
    daemon INTEGER NOT NULL DEFAULT 0,
    host   TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (kind, daemon)
) STRICT;

-- How long nothing is deleted because the clock has gone forward too far to be believed; one row.
CREATE TABLE retention (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    -- The time that a daemon must still run until the clock is believed, in milliseconds; 0 once it is.
    doubted_for   INTEGER NOT NULL
) STRICT;
INSERT INTO retention (one, doubted_for) VALUES (1, 0);

-- Zeros, for as long as pages that held deleted rows are overwritten with them. It is empty otherwise.
CREATE TABLE eraser (
    seq   INTEGER PRIMARY KEY,
    zeros BLOB NOT NULL
) STRICT;

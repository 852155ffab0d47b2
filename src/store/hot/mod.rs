//! The operations that every run and every webhook needs: planning, claiming, stepping, ending and delivering. They decide how fast
//! everything is, so they have to find what they need by an index. All others are cold: commands, clients' crons, edits, reads.
//!
//! On SQLite whoever writes is alone. On PostgreSQL a cold operation is alone as well, but the hot ones of several daemons run side by
//! side. There each statement sees what was committed before it began. So whoever decides locks the rows about which he decides, and
//! looks only in a *second* statement at what depends on others: a question in the statement that locks is answered by what was
//! committed before it waited. A statement that locks asks nothing of other rows, because its plan would not be bound by time.
//!
//! | decision | locked until the commit |
//! |---|---|
//! | what becomes of the occurrences of a cron (`planning.rs`) | the row of the cron: whoever finds it locked leaves it. So no run of it is added, claimed if it is exclusive, or ended meanwhile |
//! | that a run is sent (`claim_runs.rs`) | the row of the run, and before it that of its cron if it is exclusive: what goes on of it is asked after that |
//! | how many are sent at once (`room.rs`) | a lock of all who claim: together while there is enough for all, one at a time after that |
//! | the next state of a run, or its end | the row of the run; before it that of its cron, if the cron's failures, pause or turn may change, or its waiting runs (`revise_waiting`, `count_deadline_from`, `looked_at`): it waits for both. Those of a batch are locked in the order of their ids (`held_runs.rs`) |
//! | a further run, the webhook owed until it has ended | nothing more: only whoever holds the run before it writes them |
//! | that a waiting run is revised | the row of the run: one that is claimed meanwhile does not wait any more |
//! | that a webhook is sent, or a thread deleted | its row: whoever finds it locked leaves it |
//! | whether webhooks are held, and at which rate they are released | nothing: a hold is cold, so none begins once it is answered |
//! | that a URL is suspended, or its receiver is back | nothing: an attempt that says so is recorded cold, so no webhook is added meanwhile |
//! | what is counted (`cron_hours`, `cron_days`) | nothing: each daemon has rows of its own |
//! | whose turn it is (`turns`) | nothing: a number that is a little too low costs nobody his place |
//!
//! Who takes what is free waits for no row; who changes what it holds locks all of it first, crons before runs. They are never in one
//! transaction (`write_queue.rs`). Where two wait for each other all the same, as when an occurrence supersedes runs of other
//! daemons (`overlap = "cancel"`), the server undoes one, which is done again, and at last alone.

pub(super) mod claim_runs;
pub(super) mod deliveries;
pub(super) mod end_run;
pub(super) mod plan_due;
pub(super) mod step_run;

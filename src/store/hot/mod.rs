//! The operations that every run and every webhook needs: planning, claiming, stepping, ending and delivering. They decide how fast everything is, so they have to find what they need by an index. All others are
//! cold: commands, clients' crons, edits, reads.

pub(super) mod claim_runs;
pub(super) mod deliveries;
pub(super) mod end_run;
pub(super) mod plan_due;
pub(super) mod step_run;

//! What becomes of a waiting run when its cron is edited.

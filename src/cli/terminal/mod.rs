//! What the verbs share: one call of the command line, from its global options to its output and exit code. The verbs
//! use these; nothing here knows a verb.

mod ask;
mod attention;
mod connections;
mod failure;
mod global_options;
mod journal;
mod logging;
mod lookup;
mod output;
mod progress;
mod run_table;
mod session;
mod socket;
mod source;
mod table;
mod time_arguments;
mod watcher;
mod wrap;

pub(super) use ask::{ask, ask_again, ask_at, ask_patiently, joined};
pub(super) use attention::print_attention;
pub(super) use connections::{backend_relay, backend_transport, receiver_roots, receiver_transport};
pub(super) use failure::{Failure, USAGE, code_of, message_json};
pub(super) use global_options::GlobalOptions;
pub(super) use logging::{LogFormat, start_log};
pub(super) use lookup::{cron_named, crons_named, crons_of, find_run, find_webhook, unknown_cron};
pub(super) use output::{Output, TextStyle, print_to_stderr, printable};
pub(super) use progress::Progress;
pub(super) use run_table::{act_cells, in_short, number, painted_status, run_cells, run_table, tone};
pub(super) use session::{Session, demand_file, in_force};
pub(super) use socket::{NoResponse, get, is_alive};
pub(super) use source::{RespondingDaemon, Source};
pub(super) use table::{Layout, Rows, Shape, Shrink, TableOptions};
pub(super) use time_arguments::{BareTime, parse_instant, parse_occurrence};
pub(super) use watcher::Watcher;
pub(super) use wrap::wrapped;

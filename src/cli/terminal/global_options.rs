//! The options that every verb takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The heading that keeps them apart in the help, so that a verb's own options are found at once.
const HEADING: &str = "Global options";

/// Options that every verb takes, before or after it.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct GlobalOptions {
    /// The configuration file [default: ./agentcron.toml if it exists, else /etc/agentcron/agentcron.toml]
    #[arg(long, global = true, help_heading = HEADING, value_name = "FILE", env = "AGENTCRON_CONFIG", hide_env_values = true)]
    pub(super) config: Option<PathBuf>,
    /// Print JSON: one object per line, times in RFC 3339
    #[arg(long, global = true, help_heading = HEADING)]
    pub(super) json: bool,
    /// Colour the output (auto: on a terminal, unless NO_COLOR is set)
    #[arg(long, global = true, help_heading = HEADING, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto)]
    pub(super) color: ColorChoice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    Auto,
    Always,
    Never,
}

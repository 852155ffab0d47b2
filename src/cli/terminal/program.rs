//! How this program was called, so that a command that we print can be copied.

/// Returns the program as it was typed: `agentcron`, or a path such as `target/debug/agentcron`.
pub(in crate::cli) fn program() -> String {
    let typed = std::env::args_os().next().map(|typed| typed.to_string_lossy().into_owned());
    typed.filter(|typed| !typed.is_empty()).unwrap_or_else(|| "agentcron".to_owned())
}

//! URLs of servers, in a build without the cargo feature `postgres`: there are none.

use super::environment::Environment;
use super::errors::Complaint;
use super::secret::Secret;

/// How a server is reached. There is none.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerConfig {}

/// Refuses every URL.
pub(super) fn session(_: &str, _: Option<&Secret>, _: &Environment) -> Result<ServerConfig, Complaint> {
    let hint = "install a build of agentcron with the cargo feature `postgres`, which is there by default";
    Err(Complaint::with_hint("this build of agentcron has its store in a file only", hint))
}

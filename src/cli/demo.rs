//! stub
use super::failure::Failure;
use super::session::Session;
use clap::Args;
/// See it work.
#[derive(Args, Debug)]
pub(super) struct Demo {}
pub(super) fn demo(_: &Demo, _session: &mut Session) -> Result<(), Failure> {
    Ok(())
}

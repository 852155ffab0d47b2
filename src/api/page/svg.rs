//! Drawings: pure functions from what is to be seen to SVG. Each has a text for those who do not see it: its own, or one beside it.

pub(super) mod phases;
pub(super) mod scale;
pub(super) mod strip;
pub(super) mod waterfall;

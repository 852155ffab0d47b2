//! Drawings: pure functions from what is to be seen to SVG. Each has a text for those who do not see it.

pub(super) mod strip;

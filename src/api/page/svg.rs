//! Drawings, made of values and nothing else. What a drawing shows is beside it in words, so it is hidden from those who have
//! pages read to them.

pub(super) mod phases;
pub(super) mod scale;
pub(super) mod waterfall;

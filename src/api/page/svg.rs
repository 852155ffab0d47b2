//! Drawings: pure functions from what is to be seen to SVG. Each has a text for those who do not see it: its own, or one beside it.
//! Colours and widths of lines come from the classes of the style sheet, and no outcome is told by its colour alone.

mod dots;
pub(super) mod lane;
pub(super) mod phases;
pub(super) mod scale;
pub(super) mod shapes;
pub(super) mod spark;
pub(super) mod strip;
pub(super) mod waterfall;
pub(super) mod year;

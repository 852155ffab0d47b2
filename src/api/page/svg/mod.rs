//! Drawings, as SVG: pure functions from data to markup. Colours come from the classes of the style sheet, and no outcome is told by its
//! colour alone.

pub(super) mod dots;
pub(super) mod lane;
pub(super) mod shapes;
pub(super) mod spark;
pub(super) mod year;

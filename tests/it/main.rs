//! The one integration binary: what the parts promise to each other and to the outside.

mod calendar_croniter;
mod calendar_oracle;
mod support;

//! Floor 0: what the words mean. Pure: no IO, no clock, no randomness, no async, no SQL, no wire format.

pub mod calendar;

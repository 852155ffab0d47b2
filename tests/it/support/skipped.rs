//! Says what a test does not show on this machine, and why. It is written past the test harness, which captures what a passing test
//! prints: nobody is to believe that something was tested which was not.

use std::io::Write;

pub(crate) fn skipped(what_and_why: &str) {
    // Nobody needs to hear it who has closed the output.
    let _ = writeln!(std::io::stderr(), "skipped: {what_and_why}");
}

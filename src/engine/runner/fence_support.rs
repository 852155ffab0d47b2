//! Whether an agent server honours fences. It is learned once, from clear answers only: a broken connection
//! shows nothing about the server, and a wrong "ignored" would weaken the promise for every later unconfirmed
//! start.

use crate::backend::FenceAnswer;

/// The status of a run that waits for its turn, as the server names it.
const WAITS: &str = "pending";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum FenceSupport {
    #[default]
    Unknown,
    /// A fence waits, and nothing else starts on its thread.
    Honoured,
    /// A fence starts at once, or does not keep other runs from its thread.
    Ignored,
}

impl FenceSupport {
    /// Returns what the answer to a second fence shows about the server. The first fence, on the same thread,
    /// has the status `first_status`. A server that honours fences keeps the first one waiting and refuses
    /// the second.
    pub(super) fn shown_by(first_status: &str, second: &FenceAnswer) -> Self {
        match second {
            FenceAnswer::Busy if first_status == WAITS => Self::Honoured,
            FenceAnswer::Busy | FenceAnswer::Posted(_) => Self::Ignored,
            FenceAnswer::Unclear(_) | FenceAnswer::Denied(_) | FenceAnswer::NotSupported(_) => Self::Unknown,
        }
    }

    /// Returns what is known once `learned` is known as well. A server that ignored one fence is not trusted
    /// again.
    #[must_use]
    pub(super) fn and(self, learned: Self) -> Self {
        match (self, learned) {
            (Self::Ignored, _) | (_, Self::Ignored) => Self::Ignored,
            (Self::Honoured, _) | (_, Self::Honoured) => Self::Honoured,
            (Self::Unknown, Self::Unknown) => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::domain::ids::BackendRunId;

    #[test]
    fn what_a_second_fence_shows_about_the_server() {
        let answers = [
            ("busy", FenceAnswer::Busy),
            ("posted", FenceAnswer::Posted(BackendRunId::default())),
            ("not supported", FenceAnswer::NotSupported("the agent server answered 422".to_owned())),
            ("unclear", FenceAnswer::Unclear("the agent server answered 500".to_owned())),
        ];
        let mut table = String::new();
        for first_status in ["pending", "running", "success"] {
            for (name, second) in &answers {
                let shown = FenceSupport::shown_by(first_status, second);
                table.push_str(&format!("first {first_status:8} second {name:14} {shown:?}\n"));
            }
        }
        expect![[r#"
            first pending  second busy           Honoured
            first pending  second posted         Ignored
            first pending  second not supported  Unknown
            first pending  second unclear        Unknown
            first running  second busy           Ignored
            first running  second posted         Ignored
            first running  second not supported  Unknown
            first running  second unclear        Unknown
            first success  second busy           Ignored
            first success  second posted         Ignored
            first success  second not supported  Unknown
            first success  second unclear        Unknown
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn what_is_known_after_one_more_answer() {
        use FenceSupport::{Honoured, Ignored, Unknown};
        let mut table = String::new();
        for known in [Unknown, Honoured, Ignored] {
            for learned in [Unknown, Honoured, Ignored] {
                table.push_str(&format!("{known:?} and {learned:?}: {:?}\n", known.and(learned)));
            }
        }
        expect![[r#"
            Unknown and Unknown: Unknown
            Unknown and Honoured: Honoured
            Unknown and Ignored: Ignored
            Honoured and Unknown: Honoured
            Honoured and Honoured: Honoured
            Honoured and Ignored: Ignored
            Ignored and Unknown: Ignored
            Ignored and Honoured: Ignored
            Ignored and Ignored: Ignored
        "#]]
        .assert_eq(&table);
    }
}

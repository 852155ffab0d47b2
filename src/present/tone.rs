//! What a state means to a person at a glance. A terminal shows it as a colour, a web page as
//! a CSS class.

/// How a state should strike the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It worked.
    Good,
    /// It failed.
    Bad,
    /// It is neither, but worth a look.
    Attention,
    /// It is still in progress.
    Active,
}

//! What a state means to a person at a glance. A terminal makes a colour of it, a web page a class.

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

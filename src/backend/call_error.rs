//! Why a call got no usable answer, by what may be concluded from it.

use crate::transport::TransportError;

/// The server answers, and does not let us do this: it refuses our credentials, or they are not enough, or it shows nothing
/// to anybody for the moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the agent server refuses us ({code}){detail}")]
pub struct Denial {
    /// 401 or 403; 404 from a server that hides what is not ours to see; any other `4xx`, such as 429.
    pub code: u16,
    /// The server's own message after a colon, or empty.
    pub detail: String,
}

/// Why a call got no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error(transparent)]
    Denied(Denial),
    /// The server does not have the thing that we ask about, and names it.
    #[error("the agent server answered 404{0}")]
    NotFound(String),
    /// A 404 that names nothing: the server does not have the thing, or it does not have the route
    /// (`http.disable_…`), or a proxy answered. Nothing is concluded from it alone.
    #[error("the agent server answered 404{0}")]
    PlainNotFound(String),
    /// It answered with another HTTP status than 2xx, 401, 403 or 404. `detail` is its own message after a colon, or
    /// empty.
    #[error("the agent server answered {code}{detail}")]
    Status { code: u16, detail: String },
    /// Its answer is longer than the most that we read.
    #[error("the agent server answered with more than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    /// There was no answer, or none that can be understood.
    #[error("agent server unreachable: {0}")]
    Unreachable(String),
}

impl From<TransportError> for CallError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::TooLarge(bytes_max) => CallError::TooLarge { bytes_max },
            TransportError::NotSent(_)
            | TransportError::Tls(_)
            | TransportError::Denied(_)
            | TransportError::Broken(_) => CallError::Unreachable(error.to_string()),
        }
    }
}

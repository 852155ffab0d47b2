//! Says in a few words why there was no answer. Somebody reads them at night, and the layers that the error passed through
//! help nobody.

use std::error::Error;
use std::io;

/// What the name service of the system puts before its reason.
const LOOKUP_FAILED: &str = "failed to lookup address information: ";

/// Returns the first cause of an error, such as `connection refused` or `TLS: certificate expired`.
pub(super) fn in_short(error: &(dyn Error + 'static)) -> String {
    let mut first = error;
    while let Some(cause) = cause_of(first) {
        first = cause;
    }
    if let Some(error) = first.downcast_ref::<rustls::Error>() {
        return format!("TLS: {}", tls_in_short(error));
    }
    let text = first.to_string();
    match text.strip_prefix(LOOKUP_FAILED) {
        Some(why) => unresolved(&uncapitalized(why)),
        None if first.is::<io::Error>() => {
            uncapitalized(text.split(" (os error ").next().unwrap_or_default())
        }
        None => text,
    }
}

/// Returns that a name has no address, and why.
pub(super) fn unresolved(why: &str) -> String {
    format!("the name does not resolve: {why}")
}

/// Returns why there is no TLS with somebody.
pub(super) fn tls_in_short(error: &rustls::Error) -> String {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidYet, NotValidYetContext, Other, UnknownIssuer,
    };
    use rustls::OtherError;
    let problem = match error {
        rustls::Error::InvalidCertificate(problem) => problem,
        rustls::Error::InvalidMessage(_) => return "the other side does not speak TLS".to_owned(),
        other => return other.to_string(),
    };
    match problem {
        Expired | ExpiredContext { .. } => "certificate expired".to_owned(),
        NotValidYet | NotValidYetContext { .. } => "certificate not valid yet".to_owned(),
        UnknownIssuer => "certificate of an unknown issuer".to_owned(),
        Other(OtherError(cause)) => format!("certificate not acceptable: {cause}"),
        other => other.to_string(),
    }
}

/// Returns what an error was made of. One of the system that wraps another does not name it as its source.
fn cause_of<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
}

fn uncapitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::UnixTime;
    use rustls::{CertificateError, InvalidMessage};

    use super::*;

    #[test]
    fn what_is_left_of_an_error_is_its_first_cause() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expired = CertificateError::ExpiredContext { time: at(9), not_after: at(1) };
        let tls = |problem: CertificateError| io::Error::other(rustls::Error::InvalidCertificate(problem));
        let cases: [(io::Error, &str); 6] = [
            (io::Error::from_raw_os_error(111), "connection refused"),
            (io::Error::other(io::Error::from_raw_os_error(113)), "no route to host"),
            (
                io::Error::other("failed to lookup address information: Name or service not known"),
                "the name does not resolve: name or service not known",
            ),
            (tls(expired), "TLS: certificate expired"),
            (tls(CertificateError::UnknownIssuer), "TLS: certificate of an unknown issuer"),
            (
                io::Error::other(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)),
                "TLS: the other side does not speak TLS",
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(in_short(&error), expected);
        }
    }
}

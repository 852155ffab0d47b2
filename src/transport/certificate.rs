//! The readable contents of a certificate. The verifier decides whether to trust it, not this file.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::domain::bounds::{CERTIFICATE_NAMES_SHOWN, DETAIL_CHARS_MAX};

/// A certificate as the other side presented it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The distinguished name of its owner.
    pub subject: String,
    /// The distinguished name of the authority that signed it.
    pub issuer: String,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// The host names and addresses that it is valid for, at most [`CERTIFICATE_NAMES_SHOWN`].
    pub names: Vec<String>,
}

impl Certificate {
    /// Parses a certificate, or returns `None` if it cannot be read.
    pub(super) fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?;
        let contents = certificate.tbs_certificate();
        let not_after = i64::try_from(contents.validity().not_after.to_unix_duration().as_secs()).ok()?;
        let names = contents.get_extension::<SubjectAltName>().ok().flatten();
        let names = names.iter().flat_map(|(_, names)| &names.0).filter_map(name);
        Some(Self {
            subject: shortened(&contents.subject().to_string()),
            issuer: shortened(&contents.issuer().to_string()),
            not_after: Timestamp::from_second(not_after).ok()?,
            names: names.take(CERTIFICATE_NAMES_SHOWN).collect(),
        })
    }
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(shortened(name.as_str())),
        GeneralName::IpAddress(bytes) => match bytes.as_bytes().len() {
            4 => <[u8; 4]>::try_from(bytes.as_bytes()).ok().map(|four| IpAddr::from(four).to_string()),
            _ => <[u8; 16]>::try_from(bytes.as_bytes()).ok().map(|all| IpAddr::from(all).to_string()),
        },
        // No webhook URL addresses its host by one of these.
        GeneralName::OtherName(_)
        | GeneralName::Rfc822Name(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::UniformResourceIdentifier(_)
        | GeneralName::RegisteredId(_) => None,
    }
}

/// Bounds a text that a stranger has written.
fn shortened(text: &str) -> String {
    text.chars().take(DETAIL_CHARS_MAX).collect()
}

//! What a certificate says, for people. Whether it is to be trusted is not judged here.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_cert::Certificate as Parsed;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::domain::bounds::{CERTIFICATE_NAMES_SHOWN, DETAIL_CHARS_MAX};

/// A certificate as it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whom it is for.
    pub subject: String,
    /// Who says so.
    pub issuer: String,
    /// It is no longer good after this.
    pub not_after: Timestamp,
    /// The first names and addresses that it is for.
    pub names: Vec<String>,
}

impl Certificate {
    /// `None` if it cannot be read.
    pub(super) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let certificate = Parsed::from_der(der).ok()?;
        let said = certificate.tbs_certificate();
        let not_after = i64::try_from(said.validity().not_after.to_unix_duration().as_secs()).ok()?;
        let names = said.get_extension::<SubjectAltName>().ok().flatten();
        let names = names.iter().flat_map(|(_, names)| &names.0).filter_map(name);
        Some(Self {
            subject: shortened(&said.subject().to_string()),
            issuer: shortened(&said.issuer().to_string()),
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
        // Nobody's webhook is addressed by these.
        GeneralName::OtherName(_)
        | GeneralName::Rfc822Name(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::UniformResourceIdentifier(_)
        | GeneralName::RegisteredId(_) => None,
    }
}

/// A stranger has written it.
fn shortened(text: &str) -> String {
    text.chars().take(DETAIL_CHARS_MAX).collect()
}

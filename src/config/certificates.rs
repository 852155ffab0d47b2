//! Reads a file of certificates.

use std::path::Path;

use super::limits::FILE_BYTES_MAX;
use super::regular_file::read_regular;

/// How a certificate begins in a PEM file.
const PEM_BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Returns the PEM text of a file with certificates, or what is wrong with it.
pub fn read_certificates(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let pem = read_regular(path, FILE_BYTES_MAX).map_err(|error| format!("cannot read {shown}: {error}"))?;
    // Any other file reads as a bundle of no certificates, and the daemon would go on without its root.
    match pem.windows(PEM_BEGIN.len()).any(|window| window == PEM_BEGIN) {
        true => Ok(pem),
        false => Err(format!("{shown} contains no PEM certificate")),
    }
}

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};

use crate::Error;

/// Certificates or a private key in PEM: a text, or a file that is read again for each new connection.
///
/// A file may also hold one certificate or one key in DER, such as a PKCS#8 key with the suffix `.pk8`. `Debug` does
/// not show a text.
#[derive(Clone)]
pub struct Pem(Kind);

#[derive(Clone)]
enum Kind {
    Text(Arc<[u8]>),
    File(PathBuf),
}

const DER_SEQUENCE: u8 = 0x30;
const JKS_MAGIC: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
const JCEKS_MAGIC: [u8; 4] = [0xce, 0xce, 0xce, 0xce];
/// The beginning of PKCS#12: its version, an INTEGER of 3. Keys begin with 0 or 1, certificates with a SEQUENCE.
const PKCS12_VERSION: [u8; 3] = [0x02, 0x01, 0x03];

impl Pem {
    /// Creates certificates or a key from their text.
    #[must_use]
    pub fn text(text: impl Into<Arc<[u8]>>) -> Self {
        Self(Kind::Text(text.into()))
    }

    /// Creates certificates or a key that are read from a file.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Kind::File(path.into()))
    }

    /// Returns the certificates.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        let bytes = self.bytes()?;
        if bytes.first() == Some(&DER_SEQUENCE) {
            return Ok(vec![CertificateDer::from(bytes.to_vec())]);
        }

        let mut certificates = Vec::new();
        for section in sections(&bytes) {
            if section.label.ends_with("CERTIFICATE") {
                certificates.push(CertificateDer::from(
                    section.der().ok_or_else(|| self.unusable("a certificate is not base64"))?,
                ));
            }
        }
        if certificates.is_empty() { Err(self.unusable("there is no certificate in PEM")) } else { Ok(certificates) }
    }

    /// Returns the private key.
    pub(crate) fn key(&self) -> Result<PrivateKeyDer<'static>, Error> {
        let bytes = self.bytes()?;
        if bytes.first() == Some(&DER_SEQUENCE) {
            return PrivateKeyDer::try_from(bytes.to_vec())
                .map_err(|_| self.unusable("the key is not an unencrypted PKCS#8, PKCS#1 or SEC1 key in DER"));
        }

        for section in sections(&bytes) {
            let encrypted = section.label == "ENCRYPTED PRIVATE KEY" || section.body.contains("ENCRYPTED");
            if section.label.ends_with("PRIVATE KEY") && encrypted {
                return Err(self.unusable(
                    "the private key is encrypted: decrypt it into a file that only this process may read, with \
                     `openssl pkcs8 -topk8 -nocrypt -in KEY.pem -out DECRYPTED.pem`",
                ));
            }

            let der = || section.der().ok_or_else(|| self.unusable("the private key is not base64"));
            match section.label {
                "PRIVATE KEY" => return Ok(PrivatePkcs8KeyDer::from(der()?).into()),
                "RSA PRIVATE KEY" => return Ok(PrivatePkcs1KeyDer::from(der()?).into()),
                "EC PRIVATE KEY" => return Ok(PrivateSec1KeyDer::from(der()?).into()),
                _ => {}
            }
        }
        Err(self.unusable("there is no private key in PEM"))
    }

    /// Reads the PEM. Rejects the stores of Java with the command that converts them.
    fn bytes(&self) -> Result<Arc<[u8]>, Error> {
        let bytes = match &self.0 {
            Kind::Text(text) => Arc::clone(text),
            Kind::File(path) => std::fs::read(path).map_err(|e| Error::file(path).because(e))?.into(),
        };
        let is_java = bytes.starts_with(&JKS_MAGIC) || bytes.starts_with(&JCEKS_MAGIC);

        if is_java {
            return Err(self.unusable(
                "this is a Java key store (JKS): convert it with `keytool -importkeystore -srckeystore STORE.jks \
                 -destkeystore STORE.p12 -deststoretype PKCS12` and `openssl pkcs12 -in STORE.p12 -out STORE.pem -nodes`",
            ));
        }

        if is_pkcs12(&bytes) {
            return Err(self.unusable(
                "this is a PKCS#12 store: convert it with `openssl pkcs12 -in STORE.p12 -out STORE.pem -nodes`",
            ));
        }
        Ok(bytes)
    }

    pub(crate) fn unusable(&self, what: &str) -> Error {
        Error::tls(match &self.0 {
            Kind::Text(_) => what.to_owned(),
            Kind::File(path) => format!("{}: {what}", path.display()),
        })
    }
}

fn is_pkcs12(bytes: &[u8]) -> bool {
    let Some((&[DER_SEQUENCE, length], rest)) = bytes.split_first_chunk() else { return false };
    // Above 0x80 it is the number of bytes of the length that follow.
    let more = if length > 0x80 { usize::from(length & 0x7f) } else { 0 };
    rest.get(more..).is_some_and(|body| body.starts_with(&PKCS12_VERSION))
}

/// One `-----BEGIN …-----` with its end.
struct Section<'a> {
    label: &'a str,
    body: &'a str,
}

impl Section<'_> {
    fn der(&self) -> Option<Vec<u8>> {
        let body: String = self.body.split_ascii_whitespace().collect();
        STANDARD.decode(body).ok()
    }
}

/// Finds the sections of a PEM text. Line breaks do not matter: a PEM in a properties file often has none.
fn sections(bytes: &[u8]) -> impl Iterator<Item = Section<'_>> {
    let mut rest = std::str::from_utf8(bytes).unwrap_or_default();
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once("-----BEGIN ")?;
        let (label, after) = after.split_once("-----")?;
        let (body, after) = after.split_once("-----END ")?;
        rest = after;
        Some(Section { label, body })
    })
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Text(_) => f.write_str("Text"),
            Kind::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::KeyPair;

    use super::*;

    fn text(text: &str) -> Pem {
        Pem::text(text.as_bytes())
    }

    #[test]
    fn keys_and_certificates_are_read_in_every_form() {
        let key = KeyPair::generate().unwrap();
        let pem = key.serialize_pem();
        let der = key.serialize_der();
        let certificate = rcgen::CertificateParams::new(["db".to_owned()]).unwrap().self_signed(&key).unwrap();
        // The form in a properties file, whose lines end in a backslash.
        let one_line = pem.replace(['\n', '\r'], " ");
        let squeezed = pem.replace(['\n', '\r'], "");
        for form in [&pem, &one_line, &squeezed, &format!("{}{pem}", certificate.pem())] {
            assert_eq!(text(form).key().unwrap().secret_der(), der, "{form}");
        }
        assert_eq!(Pem::text(der.as_slice()).key().unwrap().secret_der(), der);

        let two = format!("# comment\n{}\n{pem}{}", certificate.pem(), certificate.pem());
        assert_eq!(text(&two).certificates().unwrap().len(), 2);
        assert_eq!(Pem::text(certificate.der().as_ref()).certificates().unwrap(), [certificate.der().clone()]);
    }

    #[test]
    fn what_cannot_be_read_names_the_remedy() {
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIB\n-----END RSA PRIVATE KEY-----";
        for (bytes, remedy) in [
            (encrypted.as_bytes(), "openssl pkcs8"),
            (old.as_bytes(), "openssl pkcs8"),
            (&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2], "keytool"),
            (&[0x30, 0x82, 0x09, 0x51, 0x02, 0x01, 0x03, 0x30], "openssl pkcs12"),
            (b"-----BEGIN PRIVATE KEY-----\n?\n-----END PRIVATE KEY-----", "not base64"),
            (b"", "no private key"),
        ] {
            let shown = Pem::text(bytes).key().unwrap_err().to_string();
            assert!(shown.contains(remedy), "{shown}");
        }

        assert!(text("").certificates().unwrap_err().to_string().contains("no certificate"));
        assert!(Pem::file("/nowhere/ca.pem").certificates().unwrap_err().to_string().contains("/nowhere/ca.pem"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_or_a_result(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let pem = Pem::text(bytes);
            let _ = pem.key();
            let _ = pem.certificates();
        }
    }
}

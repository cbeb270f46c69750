use postgres_protocol::authentication::sasl::ChannelBinding;
use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};

/// Binds a login to the TLS connection by the server's certificate (RFC 5929, `tls-server-end-point`): who stands
/// between has another one. None where the certificate's signature names no hash.
pub(super) fn of_certificate(der: &[u8]) -> Option<ChannelBinding> {
    let hash = digest(hash(der)?, der);
    Some(ChannelBinding::tls_server_end_point(hash.as_ref().to_vec()))
}

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
const ECDSA_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];

/// Returns the hash of the certificate's signature; SHA-256 in the place of the broken ones.
fn hash(der: &[u8]) -> Option<&'static Algorithm> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (_, after_body) = element(certificate, SEQUENCE)?;
    let (algorithm, _) = element(after_body, SEQUENCE)?;
    let (oid, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    match oid.split_last()? {
        // MD5, SHA-1, SHA-256.
        (4 | 5 | 11, RSA) | (2, ECDSA_SHA2) => Some(&SHA256),
        (12, RSA) | (3, ECDSA_SHA2) => Some(&SHA384),
        (13, RSA) | (4, ECDSA_SHA2) => Some(&SHA512),
        _ => None,
    }
}

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// Returns the contents of a DER element of this kind, and what follows it.
fn element(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    if found != kind {
        return None;
    }
    let (length, rest) = match first {
        ..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};

    use super::*;

    fn hash_of(algorithm: &'static SignatureAlgorithm) -> Option<&'static Algorithm> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = CertificateParams::new(["db".to_owned()]).unwrap().self_signed(&key).unwrap();
        hash(certificate.der())
    }

    #[test]
    fn the_hash_is_the_signatures() {
        assert_eq!(hash_of(&rcgen::PKCS_ECDSA_P256_SHA256), Some(&SHA256));
        assert_eq!(hash_of(&rcgen::PKCS_ECDSA_P384_SHA384), Some(&SHA384));
        assert_eq!(hash_of(&rcgen::PKCS_ED25519), None);
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_hash_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = hash(&bytes);
        }
    }
}

//! The client's side of SCRAM (RFC 5802 and 7677), without channel binding. Names and passwords go in as UTF-8
//! without SASLprep, as Kafka's brokers and its other clients take them.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SecureRandom;
use ring::{digest, hmac, pbkdf2, rand};

/// The most iterations: without a limit, a broker could make the client compute for any time.
const MAX_ITERATIONS: u32 = 1_000_000;
/// The fewest iterations that Kafka and the RFC allow.
const MIN_ITERATIONS: u32 = 4096;

#[derive(Clone, Copy, Debug)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn hmac(self, key: &[u8], text: &[u8]) -> hmac::Tag {
        let algorithm = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), text)
    }

    fn digest(self, bytes: &[u8]) -> digest::Digest {
        match self {
            Self::Sha256 => digest::digest(&digest::SHA256, bytes),
            Self::Sha512 => digest::digest(&digest::SHA512, bytes),
        }
    }

    fn salted(self, password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Vec<u8> {
        let (algorithm, length) = match self {
            Self::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
            Self::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
        };
        let mut salted = vec![0; length];
        pbkdf2::derive(algorithm, iterations, salt, password, &mut salted);
        salted
    }
}

pub(super) struct Scram<'a> {
    hash: Hash,
    password: &'a str,
    nonce: String,
    first_bare: String,
}

/// The proof that the broker must answer at the end, if it knows the password too.
pub(super) struct ServerProof(Hash, Vec<u8>, String);

impl<'a> Scram<'a> {
    pub(super) fn new(hash: Hash, user: &str, password: &'a str) -> Result<Self, &'static str> {
        let mut nonce = [0; 24];
        rand::SystemRandom::new().fill(&mut nonce).map_err(|_| "there is no randomness")?;
        Ok(Self::with_nonce(hash, user, password, STANDARD.encode(nonce)))
    }

    fn with_nonce(hash: Hash, user: &str, password: &'a str, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self { hash, password, first_bare: format!("n={user},r={nonce}"), nonce }
    }

    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// Returns the last message, for the broker's first one.
    pub(super) fn last(&self, server_first: &[u8]) -> Result<(String, ServerProof), &'static str> {
        let server_first = std::str::from_utf8(server_first).map_err(|_| "the broker's challenge is not text")?;
        let (mut nonce, mut salt, mut iterations) = (None, None, None);
        for attribute in server_first.split(',') {
            match attribute.split_once('=') {
                Some(("r", value)) => nonce = Some(value),
                Some(("s", value)) => salt = STANDARD.decode(value).ok(),
                Some(("i", value)) => iterations = value.parse().ok(),
                _ => return Err("the broker's challenge is not SCRAM"),
            }
        }
        let (Some(nonce), Some(salt), Some(iterations)) = (nonce, salt, iterations) else {
            return Err("the broker's challenge is not complete");
        };
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the broker's challenge is not for us");
        }

        let iterations = Some(iterations)
            .filter(|iterations| (MIN_ITERATIONS..=MAX_ITERATIONS).contains(iterations))
            .and_then(NonZeroU32::new)
            .ok_or("the broker's number of iterations is out of range")?;

        let salted = self.hash.salted(self.password.as_bytes(), &salt, iterations);
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{server_first},{without_proof}", self.first_bare);
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let stored_key = self.hash.digest(client_key.as_ref());
        let signature = self.hash.hmac(stored_key.as_ref(), signed.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
        let server_key = self.hash.hmac(&salted, b"Server Key").as_ref().to_vec();
        Ok((format!("{without_proof},p={}", STANDARD.encode(proof)), ServerProof(self.hash, server_key, signed)))
    }
}

impl ServerProof {
    pub(super) fn verify(&self, server_last: &[u8]) -> Result<(), &'static str> {
        let Self(hash, server_key, signed) = self;
        let expected = format!("v={}", STANDARD.encode(hash.hmac(server_key, signed.as_bytes())));
        let proof = server_last.split(|byte| *byte == b',').next().unwrap_or_default();
        if proof == expected.as_bytes() { Ok(()) } else { Err("the broker does not know the password itself") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677.
    #[test]
    fn the_example_of_the_standard() {
        let scram = Scram::with_nonce(Hash::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO".to_owned());
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (last, proof) = scram.last(challenge).unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(proof.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        assert!(proof.verify(b"v=AAAA").is_err());
        assert!(proof.verify(b"e=other-error").is_err());
    }

    #[test]
    fn challenges_that_are_not_for_us_are_refused() {
        let scram = Scram::with_nonce(Hash::Sha512, "a,b=c", "pencil", "mine".to_owned());
        assert_eq!(scram.first(), "n,,n=a=2Cb=3Dc,r=mine");
        for bad in [
            "",
            "r=other,s=QSXCR+Q6sek8bf92,i=4096",
            "r=mine,s=QSXCR+Q6sek8bf92,i=4096",
            "r=mine1,s=QSXCR+Q6sek8bf92,i=1",
            "r=mine1,s=QSXCR+Q6sek8bf92,i=4000000000",
            "r=mine1,s=?,i=4096",
            "r=mine1,i=4096",
        ] {
            assert!(scram.last(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}

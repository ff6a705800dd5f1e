//! PEM files of TLS: read whole; and those of a listener made into one rustls configuration, or what is
//! wrong with them.
//!
//! When they are read, and which configuration is in use, is `tls`'s. The protocol's versions and
//! ciphers are rustls' defaults, and all cryptography is aws-lc's.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;

use crate::config::{ClientCertificates, ListenerTls};

/// Far larger than any such file, in bytes.
const LARGEST: u64 = 4 << 20;

/// A file that cannot be read.
#[derive(Debug, Error)]
#[error("cannot read `{}`: {error}", file.display())]
pub struct UnreadableFile {
    /// As it is resolved.
    pub file: PathBuf,
    /// Why not.
    pub error: io::Error,
}

/// What is wrong with the files of some TLS.
#[derive(Debug, Error)]
pub enum TlsFault {
    /// The operating system says so.
    #[error(transparent)]
    Unreadable(#[from] UnreadableFile),
    /// A block of it is broken.
    #[error("`{}` is not PEM: {error}", file.display())]
    NotPem {
        /// As it is resolved.
        file: PathBuf,
        /// Why not.
        error: pem::Error,
    },
    /// It should have one.
    #[error("`{}` has no certificate in PEM", file.display())]
    NoCertificate {
        /// As it is resolved.
        file: PathBuf,
    },
    /// It should have one; one with a password does not count.
    #[error("`{}` has no private key in PEM that needs no password", file.display())]
    NoKey {
        /// As it is resolved.
        file: PathBuf,
    },
    /// What is in the PEM is no certificate that can be used.
    #[error("`{}` has a certificate that cannot be read", file.display())]
    BadCertificate {
        /// As it is resolved.
        file: PathBuf,
    },
    /// What is in the PEM is no key that can be used.
    #[error("`{}` has a private key that cannot be used: {error}", file.display())]
    BadKey {
        /// As it is resolved.
        file: PathBuf,
        /// Why not.
        error: rustls::Error,
    },
    /// The two do not belong together.
    #[error("the key in `{}` is not that of the certificate in `{}`", key.display(), certificate.display())]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's.
        certificate: PathBuf,
    },
    /// rustls takes its own defaults or the authorities for no good.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// The files as they are at one time.
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

/// What the files come to.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) configuration: ServerConfig,
    pub(super) validity: Validity,
}

/// While all certificates of a chain are valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Contents {
    /// # Errors
    /// The first that cannot be read.
    pub(super) fn read(files: &ListenerTls) -> Result<Self, UnreadableFile> {
        let authorities = files.clients.as_ref().map(|clients| bytes(&clients.authorities));
        Ok(Self {
            certificate: bytes(&files.certificate)?,
            key: bytes(&files.key)?,
            authorities: authorities.transpose()?,
        })
    }

    /// SHA-256 of all, so that no key is kept to see whether it changes.
    pub(super) fn digest(&self) -> [u8; 32] {
        digest_of([Some(&self.certificate), Some(&self.key), self.authorities.as_ref()])
    }

    /// The configuration that they make.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(super) fn make(&self, files: &ListenerTls, http2: bool) -> Result<Made, TlsFault> {
        let provider = Arc::new(default_provider());
        let chain = certificates(&self.certificate, &files.certificate)?;
        let validity = validity(&chain, &files.certificate)?;
        let key = certified_key(chain, &self.key, (&files.certificate, &files.key), &provider)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsFault::Setup(error.to_string()))?;
        let builder = match files.clients.as_ref().zip(self.authorities.as_deref()) {
            None => builder.with_no_client_auth(),
            Some((clients, pem)) => builder.with_client_cert_verifier(verifier(clients, pem, &provider)?),
        };
        let mut configuration = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        if files.clients.is_some() {
            // A resumed session's certificate would not be verified again, whatever has happened to it.
            configuration.session_storage = Arc::new(NoServerSessionStorage {});
            configuration.send_tls13_tickets = 0;
        }
        let protocols: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        configuration.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Made { configuration, validity })
    }
}

/// All of a file.
pub(super) fn bytes(file: &Path) -> Result<Vec<u8>, UnreadableFile> {
    let unreadable = |error| UnreadableFile { file: file.to_owned(), error };
    // Before it is opened: to open a pipe waits for its writer.
    if !std::fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
    }
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    read.map_err(unreadable)?;
    Ok(bytes)
}

/// The certificates of a PEM file, at least one.
pub(super) fn certificates(pem: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| TlsFault::NotPem { file: file.to_owned(), error })?;
    if chain.is_empty() { Err(TlsFault::NoCertificate { file: file.to_owned() }) } else { Ok(chain) }
}

/// SHA-256 of files that there may be.
pub(super) fn digest_of<'a>(files: impl IntoIterator<Item = Option<&'a Vec<u8>>>) -> [u8; 32] {
    let mut context = digest::Context::new(&SHA256);
    for content in files {
        // One that there is not differs from an empty one.
        context.update(&content.map_or(usize::MAX, Vec::len).to_le_bytes());
        context.update(content.map_or(&[], Vec::as_slice));
    }
    // INVARIANT: a SHA-256 digest has 32 bytes.
    context.finish().as_ref().try_into().unwrap_or_default()
}

fn validity(chain: &[CertificateDer<'_>], file: &Path) -> Result<Validity, TlsFault> {
    let mut validity = Validity { from: i64::MIN, to: i64::MAX };
    for certificate in chain {
        let Ok(([], parsed)) = x509_parser::parse_x509_certificate(certificate) else {
            return Err(TlsFault::BadCertificate { file: file.to_owned() });
        };
        let own = parsed.validity();
        validity.from = validity.from.max(own.not_before.timestamp());
        validity.to = validity.to.min(own.not_after.timestamp());
    }
    Ok(validity)
}

/// A chain with its key, which belong together.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn certified_key(
    chain: Vec<CertificateDer<'static>>,
    pem: &[u8],
    (certificate, file): (&Path, &Path),
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsFault> {
    let key = PrivateKeyDer::pem_slice_iter(pem).next().ok_or_else(|| TlsFault::NoKey { file: file.to_owned() })?;
    let key = key.map_err(|error| TlsFault::NotPem { file: file.to_owned(), error })?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| TlsFault::BadKey { file: file.to_owned(), error })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // Keys of every kind that aws-lc loads can tell their public half.
        Ok(()) => Ok(certified),
        Err(rustls::Error::InvalidCertificate(_)) => Err(TlsFault::BadCertificate { file: certificate.to_owned() }),
        Err(_) => Err(TlsFault::Mismatch { key: file.to_owned(), certificate: certificate.to_owned() }),
    }
}

fn verifier(
    clients: &ClientCertificates,
    pem: &[u8],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsFault> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(pem, &clients.authorities)? {
        roots.add(authority).map_err(|_| TlsFault::BadCertificate { file: clients.authorities.clone() })?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| TlsFault::Setup(error.to_string()))
}

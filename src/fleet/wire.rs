//! How the shared state is connected to: TCP, TLS if the file says so, and signing in.
//!
//! Password and authorities are read each time, so that a connection that is made again uses new ones.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::meter::Metered;
use crate::config::SharedState;

/// A connection, and the task that ends with it.
pub(super) type Made = (MultiplexedConnection, JoinHandle<()>);

/// Why there is no connection. Its text has nothing of a password.
#[derive(Debug, Error)]
pub(super) enum NotConnected {
    #[error("it cannot be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    #[error("`{file}` cannot be used: {why}")]
    File { file: String, why: String },
    #[error("its name is not one that certificates have")]
    Name,
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("what it answers is no answer")]
    Rubbish,
    #[error("it does not let the gateway in: {0}")]
    Refused(#[from] redis::RedisError),
}

/// Questions that wait to be written.
const QUEUE: usize = 1_024;

/// Connects and signs in. How long that may take is the caller's to bound.
pub(super) async fn connect(settings: &SharedState, runtime: &Handle) -> Result<Made, NotConnected> {
    let info = signing_in(settings)?;
    let stream = TcpStream::connect((&*settings.host, settings.port)).await?;
    stream.set_nodelay(true)?;
    let config =
        AsyncConnectionConfig::new().set_response_timeout(Some(settings.timeout)).set_pipeline_buffer_size(QUEUE);
    if settings.tls {
        let name = ServerName::try_from(settings.host.to_string()).map_err(|_| NotConnected::Name)?;
        let stream = TlsConnector::from(Arc::new(tls(settings)?)).connect(name, stream).await?;
        return sign_in(&info, stream, config, runtime).await;
    }
    sign_in(&info, stream, config, runtime).await
}

/// Signs in and sees whether it answers: a server that hangs still takes connections.
async fn sign_in<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    info: &RedisConnectionInfo,
    stream: S,
    config: AsyncConnectionConfig,
    runtime: &Handle,
) -> Result<Made, NotConnected> {
    let (mut connection, driver) = MultiplexedConnection::new_with_config(info, Metered::new(stream), config).await?;
    let driver = runtime.spawn(driver);
    match redis::cmd("PING").query_async::<String>(&mut connection).await {
        Ok(answer) if answer == "PONG" => Ok((connection, driver)),
        answered => {
            driver.abort();
            Err(answered.map_or_else(NotConnected::Refused, |_| NotConnected::Rubbish))
        }
    }
}

fn signing_in(settings: &SharedState) -> Result<RedisConnectionInfo, NotConnected> {
    let mut info = RedisConnectionInfo::default().set_db(settings.database.into()).set_skip_set_lib_name();
    if let Some(username) = &settings.username {
        info = info.set_username(username);
    }
    if let Some(file) = &settings.password_file {
        let text = String::from_utf8(read(file)?).map_err(|_| unusable(file, "it is not UTF-8"))?;
        let password = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
        info = info.set_password(password);
    }
    Ok(info)
}

fn tls(settings: &SharedState) -> Result<ClientConfig, NotConnected> {
    let builder = ClientConfig::builder();
    let Some(file) = &settings.ca_file else {
        return Ok(builder.with_platform_verifier()?.with_no_client_auth());
    };
    let pem = read(file)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unusable(file, &error.to_string()))?;
        roots.add(certificate)?;
    }
    if roots.is_empty() {
        return Err(unusable(file, "it has no certificate in PEM"));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn read(file: &Path) -> Result<Vec<u8>, NotConnected> {
    fs::read(file).map_err(|error| unusable(file, &error.to_string()))
}

fn unusable(file: &Path, why: &str) -> NotConnected {
    NotConnected::File { file: file.display().to_string(), why: why.to_owned() }
}

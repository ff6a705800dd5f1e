//! With what providers are connected to: whom the gateway trusts there, and as whom it shows itself.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity};

use super::environment::Environment;
use super::kept::{Kept, Unusable};
use super::pace::Pace;
use super::web::WebFault;

/// Whom the gateway trusts at a provider, and as whom it shows itself there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Trust {
    /// The authorities that the provider's certificate must come from; `None`: those of the machine.
    pub(super) ca: Option<PathBuf>,
    /// The gateway's own certificate and its key.
    pub(super) certificate: Option<(PathBuf, PathBuf)>,
}

/// Connections to providers.
pub(super) struct Connections {
    pace: Pace,
    /// For `http`: it trusts nobody, and so needs no certificate authorities of the machine.
    plain: OnceLock<Client>,
    /// For `https`.
    secure: Secure,
}

enum Secure {
    /// It trusts whom the machine trusts.
    Machine(OnceLock<Client>),
    /// It trusts, and shows, what files say.
    Files(Kept<Client>),
}

/// For how long a connection is kept that nobody uses: less than common servers do, so that none is
/// taken up just when its server closes it.
const IDLE: Duration = Duration::from_secs(4);

impl Connections {
    /// That trust whom the machine trusts.
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, plain: OnceLock::new(), secure: Secure::Machine(OnceLock::new()) }
    }

    /// That trust and show what files say. These are read, which blocks as long as that takes.
    pub(super) fn start(trust: &Trust, around: &Environment) -> Self {
        let pace = around.pace;
        let certificate = trust.certificate.iter().flat_map(|(certificate, key)| [certificate, key]);
        let files: Vec<_> = trust.ca.iter().chain(certificate).map(PathBuf::as_path).collect();
        let has_ca = trust.ca.is_some();
        let make = move |contents: &[&[u8]]| secure(contents, has_ca, pace);
        let what = "what connections to a provider trust and show";
        Self { secure: Secure::Files(Kept::start(what, &files, make, around)), ..Self::new(pace) }
    }

    /// What connects to the server of a URL.
    ///
    /// # Errors
    /// If it cannot be made of what the machine or the files have.
    pub(super) fn to(&self, url: &str) -> Result<Client, WebFault> {
        if url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:")) {
            return made_once(&self.plain, || builder(self.pace).tls_certs_only([]).build());
        }
        match &self.secure {
            Secure::Machine(client) => made_once(client, || builder(self.pace).https_only(true).build()),
            Secure::Files(client) => client.current().as_deref().cloned().ok_or(WebFault::Unprepared),
        }
    }
}

/// Two that come at once may each make one; the first is kept. A failure is not, so that certificate
/// authorities that are installed later are found.
fn made_once(kept: &OnceLock<Client>, make: impl FnOnce() -> reqwest::Result<Client>) -> Result<Client, WebFault> {
    if let Some(client) = kept.get() {
        return Ok(client.clone());
    }
    let client = make()?;
    Ok(kept.get_or_init(|| client).clone())
}

/// The files' contents are those of [`Trust`], in its order.
fn secure(contents: &[&[u8]], has_ca: bool, pace: Pace) -> Result<Client, Unusable> {
    let unusable = |error: reqwest::Error| Unusable::Content(crate::record::with_causes(&error));
    let mut builder = builder(pace).https_only(true);
    let (ca, own) = contents.split_at_checked(usize::from(has_ca)).unwrap_or_default();
    if let [ca] = ca {
        let authorities = Certificate::from_pem_bundle(ca).map_err(unusable)?;
        if authorities.is_empty() {
            return Err(Unusable::Content("`ca_file` has no certificate in PEM".to_owned()));
        }
        builder = builder.tls_certs_only(authorities);
    }
    if let [certificate, key] = own {
        // A key's file may have its certificates too; those of the certificate's file count.
        let pem = [*certificate, b"\n", *key].concat();
        builder = builder.identity(Identity::from_pem(&pem).map_err(unusable)?);
    }
    builder.build().map_err(unusable)
}

fn builder(pace: Pace) -> ClientBuilder {
    Client::builder()
        .connect_timeout(pace.connect)
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .pool_max_idle_per_host(16)
        .pool_idle_timeout(IDLE)
        .user_agent(concat!("scopegate/", env!("CARGO_PKG_VERSION")))
}
